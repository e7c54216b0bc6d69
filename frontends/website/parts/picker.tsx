"use client";

/** The picture that an order starts from: dropped on the prompt, pasted into it, or chosen. */
import { useRef, useState, type ClipboardEvent, type DragEvent, type ReactNode } from "react";

import { call, local, sentence } from "@/data/api";
import type { Input } from "@/data/types";
import { Bin, Picture } from "@/parts/icons";

const TYPES = "image/png,image/jpeg,image/webp";

export function usePicker(onInput: (input: Input | null) => void) {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const give = async (file: File | undefined | null) => {
    if (!file?.type.startsWith("image/")) return;
    setBusy(true);
    setTrouble(null);
    try {
      const form = new FormData();
      form.append("file", file);
      onInput(await call<Input>("POST", "/api/v1/inputs", form));
    } catch (problem) {
      setTrouble(sentence(problem));
    } finally {
      setBusy(false);
    }
  };
  return { busy, trouble, give };
}

type Picker = ReturnType<typeof usePicker>;

export function Well({ picker, children }: { picker: Picker; children: ReactNode }) {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void picker.give(event.dataTransfer.files[0]);
  };
  const paste = (event: ClipboardEvent) => {
    const file = event.clipboardData.files[0];
    if (!file) return;
    event.preventDefault();
    void picker.give(file);
  };
  return (
    <div className={`well${over ? " over" : ""}`} onDragOver={(event) => { event.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)} onDrop={drop} onPaste={paste}>
      {children}
    </div>
  );
}

export function Given({ input, picker, onInput }: { input: Pick<Input, "id" | "url" | "width" | "height"> | null; picker: Picker; onInput: (input: null) => void }) {
  const file = useRef<HTMLInputElement>(null);
  return (
    <div className="stack tight">
      <input ref={file} className="hidden" type="file" accept={TYPES} tabIndex={-1} aria-label="Picture to start from" onChange={(event) => { void picker.give(event.target.files?.[0]); event.target.value = ""; }} />
      {input ? (
        <div className="given">
          <img src={local(input.url)} alt="What it starts from" width={56} height={56} />
          <span className="grow small">Starts from your picture<br /><span className="soft">{input.width} × {input.height}</span></span>
          <button type="button" className="button small bare" aria-label="Remove the picture" onClick={() => onInput(null)}><Bin /></button>
        </div>
      ) : (
        <div className="row">
          <button type="button" className="button small" disabled={picker.busy} onClick={() => file.current?.click()}><Picture /> {picker.busy ? "Uploading…" : "Start from a picture"}</button>
          <span className="small soft">or drop or paste one</span>
        </div>
      )}
      {picker.trouble && <p className="notice bad" role="alert">{picker.trouble}</p>}
    </div>
  );
}

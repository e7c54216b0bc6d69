"use client";

/** Tells the operator that something is wrong with a result. */
import { useState, type FormEvent, type RefObject } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import type { Job } from "@/data/types";

const CATEGORIES = [["sexual", "Sexual"], ["minors", "Involves minors"], ["violence", "Violence"], ["hate", "Hate"], ["person", "A real person"], ["copyright", "Copyright"], ["other", "Something else"]] as const;

export function Report({ dialog, job, index }: { dialog: RefObject<HTMLDialogElement | null>; job: Pick<Job, "id">; index?: number }) {
  const { busy, wrong, act } = useAct();
  const [category, setCategory] = useState<string>("other");
  const [text, setText] = useState("");
  const send = (event: FormEvent) => {
    event.preventDefault();
    void act(async () => {
      await call("POST", "/api/v1/reports", { job_id: job.id, index, category, text });
      dialog.current?.close();
    }, "Thank you. The operator will look at it.");
  };
  return (
    <dialog ref={dialog} aria-labelledby="report-title">
      <form className="stack" onSubmit={send}>
        <h2 id="report-title">Report this result</h2>
        <div className="field">
          <label htmlFor="category">What is wrong</label>
          <select id="category" className="select" value={category} onChange={(event) => setCategory(event.target.value)}>
            {CATEGORIES.map(([value, title]) => <option key={value} value={value}>{title}</option>)}
          </select>
        </div>
        <div className="field">
          <label htmlFor="report-text">In your words</label>
          <textarea id="report-text" className="input" maxLength={1000} value={text} onChange={(event) => setText(event.target.value)} />
        </div>
        {wrong && <p className="notice bad" role="alert">{wrong}</p>}
        <div className="row">
          <button className="button main" disabled={busy}>Send</button>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>Cancel</button>
        </div>
      </form>
    </dialog>
  );
}

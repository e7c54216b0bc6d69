"use client";

/** A dialog that asks why before something is done to somebody. */
import { useState, type FormEvent } from "react";

import { useAct } from "@/data/act";

type Asked = {
  /** Of the field; the title has its own id from it. */
  id: string;
  title: string;
  note: string;
  /** Who reads the answer. */
  label: string;
  required?: boolean;
  verb: string;
  done: string;
  act: (reason: string) => Promise<unknown>;
  close: () => void;
};

export function Why({ id, title, note, label, required, verb, done, act: what, close }: Asked) {
  const { busy, wrong, act } = useAct();
  const [reason, setReason] = useState("");
  const send = (event: FormEvent) => {
    event.preventDefault();
    void act(async () => {
      await what(reason);
      setReason("");
      close();
    }, done);
  };
  return (
    <form className="stack" onSubmit={send}>
      <h2 id={`${id}-title`}>{title}</h2>
      <p className="small soft">{note}</p>
      <div className="field">
        <label htmlFor={id}>{label}</label>
        <input id={id} className="input" required={required} maxLength={300} value={reason} onChange={(event) => setReason(event.target.value)} />
      </div>
      {wrong && <p className="notice bad" role="alert">{wrong}</p>}
      <div className="row">
        <button className="button danger" disabled={busy}>{verb}</button>
        <button type="button" className="button" onClick={close}>Cancel</button>
      </div>
    </form>
  );
}

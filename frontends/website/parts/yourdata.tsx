"use client";

/** Your data: take all of it along, or have it erased. */
import { useRef, useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import type { Account, Deletion } from "@/data/types";

export function YourData({ account }: { account: Account | null }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <section className="card stack" id="data">
      <h2>Your data</h2>
      <p className="small soft">Everything that is known of you here, as one zip file: your orders with what you typed, your pictures, the ledger, payments, keys by name, webhooks and sessions. It holds no secret. The file is written while you download it, so its size is not known before.</p>
      <div><a className="button" href="/api/v1/user/export" download>Download everything</a></div>
      <p className="small soft">Deleting your account takes all of that away for good. Only amounts and dates stay in the books, under a number that says nothing of you.</p>
      <div><button type="button" className="button danger" disabled={!account} onClick={() => dialog.current?.showModal()}>Delete account…</button></div>
      <dialog ref={dialog} aria-labelledby="delete-title">
        {account && <Ask account={account} close={() => dialog.current?.close()} />}
      </dialog>
    </section>
  );
}

function Ask({ account, close }: { account: Account; close: () => void }) {
  const { busy, act } = useAct();
  const [typed, setTyped] = useState("");
  const [gone, setGone] = useState<Deletion | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void act(async () => setGone(await call<Deletion>("POST", "/api/v1/user/delete", { name: typed })));
  };
  if (gone)
    return (
      <div className="stack">
        <h2 id="delete-title">Goodbye</h2>
        <p role="status">{gone.detail}</p>
        <div><button type="button" className="button" onClick={() => location.assign("/")}>Close</button></div>
      </div>
    );
  return (
    <form className="stack" onSubmit={submit}>
      <h2 id="delete-title">Delete your account?</h2>
      <p>Your orders with their prompts and pictures, uploads, links, keys, webhooks, sessions and linked chats go at once, and there is no way back. What waits is canceled. Tokens that are left are lost{account.tokens.purchased > 0 && <>, also the <b>{account.tokens.purchased}</b> that were bought or given</>}.</p>
      <p className="small soft">For thirty days nobody can open a new account with your linked chats and sign-ins. Backups of this server hold the account until newer ones replace them.</p>
      <div className="field">
        <label htmlFor="leaving">Type <b>{account.name}</b> to delete it</label>
        <input id="leaving" className="input" value={typed} required maxLength={128} autoComplete="off" spellCheck={false} onChange={(event) => setTyped(event.target.value)} />
      </div>
      <div className="row">
        <button className="button danger" disabled={busy || typed.trim() !== account.name}>Delete for good</button>
        <button type="button" className="button" onClick={close}>Keep it</button>
      </div>
    </form>
  );
}

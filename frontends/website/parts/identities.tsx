"use client";

/** Ways in which one is recognised: linked by a code that is shown here and entered there, or the other way round. */
import { useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import { copy } from "@/data/hands";
import { useSession } from "@/data/session";
import type { Account, LinkCode } from "@/data/types";
import { clock } from "@/data/words";

export function Identities({ account, reload }: { account: Account | null; reload: () => Promise<void> }) {
  const { busy, act } = useAct();
  const { session } = useSession();
  const providers = session?.providers.filter((one) => one.id !== "code") ?? [];
  const [made, setMade] = useState<LinkCode | null>(null);
  const [typed, setTyped] = useState("");
  const enter = (path: string, done: string) =>
    act(async () => {
      await call("POST", path, { code: typed });
      setTyped("");
      await reload();
    }, done);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void enter("/api/v1/user/link", "Linked. You are one account now.");
  };
  const remove = (provider: string, subject: string) =>
    act(async () => {
      if (!confirm(`Take ${provider} off this account? Everything stays with the account.`)) return;
      await call("DELETE", `/api/v1/user/identities/${encodeURIComponent(provider)}?subject=${encodeURIComponent(subject)}`);
      await reload();
    });
  return (
    <section className="card stack" id="linked">
      <h2>Linked to</h2>
      <ul className="list">
        {account?.identities.map((one) => (
          <li key={`${one.provider}:${one.subject}`} className="row apart">
            <span className="grow"><b className="cap">{one.provider}</b> <span className="soft small">{one.subject}</span></span>
            <button type="button" className="button small" disabled={busy} onClick={() => void remove(one.provider, one.subject)}>Unlink</button>
          </li>
        ))}
        {account?.identities.length === 0 && <li className="soft small">Nothing yet. Link your chats, and orders there are orders here.</li>}
      </ul>
      {providers.length > 0 && <div className="row">{providers.map((one) => <a key={one.id} className="button" href={`${one.url}?link=true&next=/account`}>Link {one.title}</a>)}</div>}
      {made ? (
        <div className="stack tight">
          <p className="small">Send this to our bot, as <code>/link {made.code}</code>, before {clock(made.expires_at)}. Show it to nobody else.</p>
          <div className="secret"><code>{made.code}</code><button type="button" className="button small" onClick={() => void act(() => copy(made.code), "Copied.")}>Copy</button></div>
        </div>
      ) : (
        <div><button type="button" className="button" disabled={busy} onClick={() => void act(async () => setMade(await call<LinkCode>("POST", "/api/v1/user/link-code")))}>Make a code for a bot</button></div>
      )}
      <form className="field" onSubmit={submit}>
        <label htmlFor="typed">A code that you were given</label>
        <div className="row">
          <input id="typed" className="input grow" value={typed} maxLength={64} required placeholder="K7QM-2XWD" onChange={(event) => setTyped(event.target.value)} />
          <button className="button" disabled={busy}>Link</button>
          <button type="button" className="button" disabled={busy || !typed} onClick={() => void enter("/api/v1/user/invite", "Thank you, it is yours.")}>It is an invite</button>
        </div>
        <small>Never enter a code that somebody else sent: whoever made it shares your account.</small>
      </form>
    </section>
  );
}

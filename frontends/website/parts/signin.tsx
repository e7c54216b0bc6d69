"use client";

/** The ways in: providers that the operator has set up, the code that a bot gave, a login link. */
import Link from "next/link";
import { useState, type FormEvent } from "react";

import { call, sentence } from "@/data/api";
import { useSession } from "@/data/session";
import { Invite } from "@/parts/invite";

/** What a provider's way back says in the address, by the slug of the problem. */
const FAILED: Record<string, string> = {
  "sign-in-failed": "That did not work: it took longer than ten minutes, was begun in another browser, or the provider did not say who you are. Begin anew.",
  "sign-in-canceled": "You stopped at the provider. Nothing has happened.",
  "signup-closed": "Nobody new is taken in here just now. If you have an account, sign in as before and add this way on its page.",
  "invite-needed": "New people need an invite here, and it is entered within ten minutes after you have shown who you are. Begin anew, with the code at hand.",
  "signup-limit": "Too many people have just come by this way. Try again later.",
  "account-suspended": "This account is suspended.",
  "last-identity": "That would leave the account without a way in.",
  "too-many-tries": "Too many tries. Wait a little, then begin anew.",
};

export function SignIn({ next, failed = null }: { next: string; failed?: string | null }) {
  const { session, reload } = useSession();
  const [code, setCode] = useState("");
  const [error, setError] = useState("");
  const enter = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await call("POST", "/auth/code", { code });
      await reload();
    } catch (problem) {
      setError(sentence(problem));
    }
  };
  const providers = (session?.providers ?? []).filter((one) => one.id !== "code");
  return (
    <main id="main" className="page">
      <div className="door">
        <h1>Sign in</h1>
        {session?.refusal && <p className="notice bad" role="alert">{session.refusal}</p>}
        {session?.newcomer && <Invite by={session.newcomer} />}
        {failed !== null && !(session?.newcomer && failed === "invite-needed") && <p className="notice bad" role="alert">{FAILED[failed] ?? FAILED["sign-in-failed"]}</p>}
        <div className="card stack">
          {providers.map((one) => (
            <a key={one.id} className="button wide provider" href={`${one.url}?next=${encodeURIComponent(next)}`}>
              Continue with {one.title}
            </a>
          ))}
          <form className="field" onSubmit={(event) => void enter(event)}>
            <label htmlFor="code">Code from a bot</label>
            <div className="row">
              <input id="code" className="input grow" value={code} onChange={(event) => setCode(event.target.value)} autoComplete="one-time-code" placeholder="K7QM-2XWD" maxLength={64} required aria-invalid={error !== ""} aria-describedby="code-help" />
              <button className="button">Enter</button>
            </div>
            <small id="code-help">{error || "Send /link to one of our bots on Telegram or Discord; it answers with a code."}</small>
          </form>
          <p className="small soft">
            Whoever runs this server can also make you a login link: <code>tessera user login-link NAME</code>
          </p>
        </div>
        <p className="small soft">
          New here? See <Link href="/pricing" prefetch={false}>what it costs</Link>.
        </p>
      </div>
    </main>
  );
}

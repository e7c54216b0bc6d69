"use client";

/** Where an invite link leads: sign in with it, or take what it gives into the account that is signed in. */
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useEffect, useState } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import { useSession } from "@/data/session";
import { Invite, keepInvite, keptInvite } from "@/parts/invite";

export function Join() {
  const router = useRouter();
  const { session } = useSession();
  const { busy, act } = useAct();
  const [code, setCode] = useState<string | null>(null);
  useEffect(() => {
    const given = new URLSearchParams(location.search).get("code");
    if (given) {
      keepInvite(given.slice(0, 64));
      history.replaceState(null, "", "/join"); // not to be left in the address
    }
    setCode(keptInvite());
  }, []);
  const signedIn = session?.signed_in ?? false;
  useEffect(() => {
    if (signedIn && code === "") router.replace("/create");
  }, [signedIn, code, router]);
  const use = () =>
    act(async () => {
      await call("POST", "/api/v1/user/invite", { code });
      keepInvite(null);
      router.push("/account");
    }, "Thank you, it is yours.");
  const ways = (session?.providers ?? []).filter((one) => one.id !== "code");
  return (
    <main id="main" className="page">
      <div className="door">
        <h1>You are invited</h1>
        {session?.refusal && <p className="notice bad" role="alert">{session.refusal}</p>}
        {session && !signedIn && session.newcomer && <Invite by={session.newcomer} />}
        {session && !signedIn && !session.newcomer && (
          <div className="card stack">
            <p>{ways.length > 0 ? "Say who you are, and your invite opens the door." : "Your invite opens the door in our bots, by the button of their first greeting."}</p>
            {ways.map((one) => <a key={one.id} className="button wide provider" href={`${one.url}?next=/join`}>Continue with {one.title}</a>)}
            {code && <p className="small soft">Your code: <code>{code}</code></p>}
          </div>
        )}
        {session?.user && code && (
          <div className="card stack">
            <p>You are signed in as <b>{session.user.name}</b>. An invite gives its plan and its tokens to this account, once.</p>
            <button type="button" className="button main wide" disabled={busy} onClick={() => void use()}>Use it for this account</button>
          </div>
        )}
        <p className="small soft">What is it? See <Link href="/" prefetch={false}>what is made here</Link> and <Link href="/pricing" prefetch={false}>what it costs</Link>.</p>
      </div>
    </main>
  );
}

"use client";

/** The invite of somebody new: kept from a link until it is entered, in this tab alone. */
import { useEffect, useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call, Problem } from "@/data/api";
import { useSession } from "@/data/session";

const KEPT = "invite";

export function keptInvite(): string {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

export function keepInvite(code: string | null) {
  try {
    if (code) sessionStorage.setItem(KEPT, code);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Then it is typed.
  }
}

const NAMES: Record<string, string> = { google: "Google", discord: "Discord", telegram: "Telegram" };

/** For who has shown who they are. */
export function Invite({ by }: { by: string }) {
  const { reload } = useSession();
  const { busy, act } = useAct();
  const [code, setCode] = useState("");
  const [wrong, setWrong] = useState("");
  useEffect(() => setCode(keptInvite()), []);
  const enter = (event: FormEvent) => {
    event.preventDefault();
    setWrong("");
    void act(async () => {
      try {
        const told = await call<{ next: string }>("POST", "/auth/invite", { code });
        keepInvite(null);
        location.replace(told.next);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        setWrong(problem.message);
        if (problem.code === "sign-in-failed") await reload();
      }
    });
  };
  return (
    <form className="card stack" onSubmit={enter}>
      <div className="stack tight">
        <h2>One thing more</h2>
        <p>{NAMES[by] ?? by} has told us who you are. New people come by invite here: enter the code that you were given, within ten minutes.</p>
      </div>
      <div className="field">
        <label htmlFor="invite">Your invite</label>
        <div className="row">
          <input id="invite" className="input grow" value={code} onChange={(event) => setCode(event.target.value)} autoComplete="off" placeholder="K7QM-2XWD-9FTH-4NBC" maxLength={64} required aria-invalid={wrong !== ""} aria-describedby="invite-help" />
          <button className="button main" disabled={busy}>Come in</button>
        </div>
        <small id="invite-help" role={wrong ? "alert" : undefined}>{wrong || "Small or large letters, with hyphens or without: it is all the same."}</small>
      </div>
    </form>
  );
}

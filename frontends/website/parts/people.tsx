"use client";

/** Somebody, by name, id or identity: what they are, tokens for them, the door for them. */
import { useRef, useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call, get } from "@/data/api";
import { useResource } from "@/data/resource";
import type { GrantView, PlanList, UserFound } from "@/data/types";
import { tokens } from "@/data/words";
import { useSay } from "@/parts/toasts";
import { Why } from "@/parts/why";

export function People() {
  const { busy, act } = useAct();
  const say = useSay();
  const [name, setName] = useState("");
  const [found, setFound] = useState<UserFound["user"] | null>(null);
  const [amount, setAmount] = useState("100");
  const [reason, setReason] = useState("");
  const dialog = useRef<HTMLDialogElement>(null);
  const plans = useResource<PlanList>("/api/v1/plans").data?.data ?? [];
  const look = async () => setFound((await get<UserFound>(`/api/v1/admin/users?name=${encodeURIComponent(name)}`)).user);
  const find = (event: FormEvent) => {
    event.preventDefault();
    setFound(null);
    void act(look);
  };
  const grant = (event: FormEvent) => {
    event.preventDefault();
    if (!found) return;
    void act(async () => {
      const given = await call<GrantView>("POST", `/api/v1/admin/users/${found.id}/grant`, { tokens: Number(amount), reason });
      say(`${found.name} has ${tokens(given.purchased)} that do not expire.`);
    });
  };
  const put = (plan: string) =>
    act(async () => {
      if (!found) return;
      setFound((await call<UserFound>("POST", `/api/v1/admin/users/${found.id}/plan`, { plan })).user);
      say(`${found.name} is on ${plan}.`);
    });
  const restore = () =>
    act(async () => {
      await call("POST", `/api/v1/admin/users/${found?.id}/restore`, {});
      await look();
    });
  return (
    <section className="card stack">
      <h2>People</h2>
      <form className="field" onSubmit={find}>
        <label htmlFor="who">Name, id, or identity such as telegram:123</label>
        <div className="row">
          <input id="who" className="input grow" required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
          <button className="button" disabled={busy}>Find</button>
        </div>
      </form>
      {found && (
        <>
          <div className="row apart">
            <span><b>{found.name}</b> <span className="chip cap">{found.plan}</span> {found.status !== "active" && <span className="chip bad">{found.status}</span>}<br /><span className="small soft">{found.identities.map((one) => `${one.provider}:${one.subject}`).join(", ") || "no linked identity"}</span></span>
            {found.status === "active"
              ? <button type="button" className="button small danger" disabled={busy} onClick={() => dialog.current?.showModal()}>Suspend</button>
              : <button type="button" className="button small" disabled={busy} onClick={() => void restore()}>Restore</button>}
          </div>
          <div className="field">
            <label htmlFor="plan">Plan, until you change it</label>
            <select id="plan" className="select" disabled={busy} value={found.plan} onChange={(event) => void put(event.target.value)}>
              {!plans.some((plan) => plan.name === found.plan) && <option>{found.plan}</option>}
              {plans.map((plan) => <option key={plan.name}>{plan.name}</option>)}
            </select>
          </div>
          <form className="row end" onSubmit={grant}>
            <div className="field"><label htmlFor="amount">Tokens</label><input id="amount" className="input" required inputMode="numeric" pattern="[1-9][0-9]{0,8}" size={7} value={amount} onChange={(event) => setAmount(event.target.value)} /></div>
            <div className="field grow"><label htmlFor="reason">Why</label><input id="reason" className="input" required maxLength={300} value={reason} onChange={(event) => setReason(event.target.value)} /></div>
            <button className="button" disabled={busy}>Give</button>
          </form>
          <dialog ref={dialog} aria-labelledby="suspend-reason-title" onClose={() => void act(look)}>
            <Why
              id="suspend-reason"
              title={`Shut ${found.name} out?`}
              note="What they have ordered is canceled, and every way in answers that the account is suspended. You can undo that."
              label="Why; it is kept in the audit log"
              verb="Shut them out"
              done={`${found.name} is shut out.`}
              act={(reason) => call("POST", `/api/v1/admin/users/${found.id}/suspend`, { reason })}
              close={() => dialog.current?.close()}
            />
          </dialog>
        </>
      )}
    </section>
  );
}

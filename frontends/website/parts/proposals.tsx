"use client";

/** What people want everybody to see, for the operator to decide; words only where their owner shows them. */
import { useRef, useState } from "react";

import { useAct } from "@/data/act";
import { call, get, local, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Proposal, ProposalList } from "@/data/types";
import { moment } from "@/data/words";
import { Why } from "@/parts/why";

const LOOK_MILLISECONDS = 15_000;
const STATES = [["proposed", "Waiting"], ["approved", "Shown"], ["refused", "Refused"]] as const;

export function Proposals() {
  const [state, setState] = useState<string>("proposed");
  const path = `/api/v1/admin/publications?state=${state}`;
  const { data, error, reload } = useResource<ProposalList>(path, LOOK_MILLISECONDS);
  const [rest, setRest] = useState<ProposalList[]>([]);
  const [refused, setRefused] = useState<Proposal | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const { busy, act } = useAct();
  const last = rest.at(-1) ?? data;
  const all = [...new Map([...(data?.data ?? []), ...rest.flatMap((page) => page.data)].map((one) => [one.id, one])).values()];
  const next = () => act(async () => setRest([...rest, await get<ProposalList>(`${path}&cursor=${last?.next_cursor}`)]));
  const anew = async () => {
    setRest([]);
    await reload();
  };
  const approve = (one: Proposal) =>
    act(async () => {
      await call("POST", `/api/v1/admin/publications/${one.id}/approve`);
      await anew();
    }, "Everybody sees it.");
  const ask = (one: Proposal) => {
    setRefused(one);
    dialog.current?.showModal();
  };
  return (
    <section className="card stack proposals">
      <div className="row apart">
        <h2>Gallery</h2>
        <select className="select narrow" aria-label="Which of them" value={state} onChange={(event) => { setRest([]); setState(event.target.value); }}>
          {STATES.map(([value, title]) => <option key={value} value={value}>{title}</option>)}
        </select>
      </div>
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      {data?.data.length === 0 && <p className="soft">{state === "proposed" ? "Nothing waits for you." : "None."}</p>}
      <ul className="proposed">
        {all.map((one) => (
          <li key={one.id}>
            <a href={local(one.url)} target="_blank" rel="noreferrer" aria-label={`${one.prompt ?? "Without words"}, from ${one.user}, larger`}>
              {one.thumbnail_url ? <img src={local(one.thumbnail_url)} alt="" width={one.width} height={one.height} loading="lazy" decoding="async" /> : "Look at it"}
            </a>
            <div className="stack tight">
              <p className="small wrap" dir="auto">{one.prompt ?? <span className="soft">Shown without words</span>}</p>
              <p className="small soft">{one.user} · {one.model} · {moment(one.proposed_at)}</p>
              {one.reason && <p className="small soft">Refused: {one.reason}</p>}
              <div className="row">
                {one.state === "proposed" && <button type="button" className="button small" disabled={busy} onClick={() => void approve(one)}>Approve</button>}
                {one.state !== "refused" && <button type="button" className="button small danger" disabled={busy} onClick={() => ask(one)}>Refuse</button>}
              </div>
            </div>
          </li>
        ))}
      </ul>
      {last?.has_more && <div><button type="button" className="button" disabled={busy} onClick={() => void next()}>Show more</button></div>}
      <dialog ref={dialog} aria-labelledby="refuse-reason-title" onClose={() => { setRefused(null); void anew(); }}>
        {refused && (
          <Why
            id="refuse-reason"
            title="Refuse it?"
            note="That stays: this picture cannot be proposed again."
            label={`Why; ${refused.user} reads it`}
            required
            verb="Refuse it"
            done="Nobody but its owner sees it."
            act={(reason) => call("POST", `/api/v1/admin/publications/${refused.id}/refuse`, { reason })}
            close={() => dialog.current?.close()}
          />
        )}
      </dialog>
    </section>
  );
}

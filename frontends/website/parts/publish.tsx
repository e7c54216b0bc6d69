"use client";

/** The gallery as the owner of a job meets it: publish a picture of it, see what the operator said, take it back. */
import { useRef, useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Artifact, Job, Publication, Publications } from "@/data/types";
import { Picture } from "@/parts/icons";

const SAID = {
  proposed: { word: "Waits for the operator", tone: "wait" },
  approved: { word: "In the gallery", tone: "good" },
  refused: { word: "Not for the gallery", tone: "bad" },
} as const;

export function Publish({ job }: { job: Job }) {
  const able = job.status === "succeeded" && job.artifacts.length > 0 && !job.test;
  const { data, reload } = useResource<Publications>(able ? `/api/v1/jobs/${job.id}/publications` : null);
  const dialog = useRef<HTMLDialogElement>(null);
  if (!able) return null;
  const told = data?.data.filter((one) => one.state !== "withdrawn") ?? [];
  const free = job.artifacts.filter((artifact) => !told.some((one) => one.index === artifact.index));
  return (
    <>
      {told.map((one) => <Told key={one.index} job={job} one={one} reload={reload} />)}
      {free.length > 0 && <div className="acts"><button type="button" className="button small bare" disabled={!data} onClick={() => dialog.current?.showModal()}><Picture /> Publish in the gallery</button></div>}
      <dialog ref={dialog} aria-labelledby="publish-title">
        {free.length > 0 && <Ask job={job} free={free} reload={reload} close={() => dialog.current?.close()} />}
      </dialog>
    </>
  );
}

function Told({ job, one, reload }: { job: Job; one: Publication; reload: () => Promise<void> }) {
  const { busy, act } = useAct();
  if (one.state === "withdrawn") return null;
  const said = SAID[one.state];
  const withdraw = () =>
    act(async () => {
      await call("DELETE", place(job, one.index));
      await reload();
    }, "Nobody else sees it any more.");
  return (
    <div className="stack tight">
      <div className="row">
        {job.artifacts.length > 1 && <span className="small">Picture {one.index + 1}</span>}
        <span className={`chip ${said.tone}`}>{said.word}</span>
        {one.state !== "refused" && <button type="button" className="button small" disabled={busy} onClick={() => void withdraw()}>Withdraw</button>}
      </div>
      <p className="small soft">{one.state === "refused" ? `The operator says: ${one.reason}` : sentence(one)}</p>
    </div>
  );
}

const sentence = (one: Publication) =>
  `${one.state === "approved" ? "Everybody sees it" : "Everybody sees it once it is approved"}, ${one.show_prompt ? "with its words" : "without its words"}.`;

function Ask({ job, free, reload, close }: { job: Job; free: Artifact[]; reload: () => Promise<void>; close: () => void }) {
  const { busy, wrong, act } = useAct();
  const [words, setWords] = useState(false);
  const [wanted, setWanted] = useState(0);
  const index = (free.find((artifact) => artifact.index === wanted) ?? free[0])?.index ?? 0;
  const send = (event: FormEvent) => {
    event.preventDefault();
    void act(async () => {
      await call("PUT", place(job, index), { show_prompt: words });
      close();
      await reload();
    }, "Proposed. It appears when the operator has approved it.");
  };
  return (
    <form className="stack" onSubmit={send}>
      <h2 id="publish-title">Show it to everybody?</h2>
      <p>It goes to the gallery on the front page, without your name, as soon as the operator has approved it. You can withdraw it at any time.</p>
      <p className="small soft">While it is in the gallery it is kept, also beyond the days that your plan keeps pictures. Once you withdraw it, it is deleted when your plan says, which may be at once.</p>
      {free.length > 1 && (
        <div className="field">
          <label htmlFor="publish-which">Which one</label>
          <select id="publish-which" className="select" value={index} onChange={(event) => setWanted(Number(event.target.value))}>
            {free.map((artifact) => <option key={artifact.index} value={artifact.index}>Picture {artifact.index + 1}</option>)}
          </select>
        </div>
      )}
      {job.prompt && <label className="check"><input type="checkbox" checked={words} onChange={(event) => setWords(event.target.checked)} /> Show its words, too</label>}
      {wrong && <p className="notice bad" role="alert">{wrong}</p>}
      <div className="row">
        <button className="button main" disabled={busy}>Publish</button>
        <button type="button" className="button" onClick={close}>Cancel</button>
      </div>
    </form>
  );
}

const place = (job: Job, index: number) => `/api/v1/jobs/${job.id}/artifacts/${index}/publication`;

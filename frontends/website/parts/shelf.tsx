"use client";

/** History: everything that was ordered, newest first; more of it comes when the end is in sight. */
import Link from "next/link";
import { useEffect, useRef, useState } from "react";

import { call, local, sentence } from "@/data/api";
import { isOver, useJobs } from "@/data/jobs";
import type { Job } from "@/data/types";
import { ago, STATUS } from "@/data/words";
import { Bin } from "@/parts/icons";
import { useSay } from "@/parts/toasts";

const PAGE = 24;
const KINDS = [["", "Everything"], ["image", "Pictures"], ["video", "Films"]] as const;
const STATES = [["", "In any state"], ["succeeded", "Done"], ["running", "Running"], ["queued", "Waiting"], ["failed", "Failed"], ["canceled", "Canceled"]] as const;

export function Shelf() {
  const [kind, setKind] = useState("");
  const [status, setStatus] = useState("");
  const filter = new URLSearchParams([["kind", kind], ["status", status]].filter(([, value]) => value)).toString();
  const { jobs, more, error, next, drop } = useJobs(filter, PAGE);
  const end = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const seen = new IntersectionObserver((all) => all.some((one) => one.isIntersecting) && void next(), { rootMargin: "600px" });
    if (more && end.current) seen.observe(end.current);
    return () => seen.disconnect();
  }, [more, next, jobs?.length]);

  const pick = (title: string, value: string, set: (value: string) => void, choices: readonly (readonly [string, string])[]) => (
    <select className="select" aria-label={title} value={value} onChange={(event) => set(event.target.value)}>
      {choices.map(([name, words]) => <option key={name} value={name}>{words}</option>)}
    </select>
  );
  return (
    <>
      <header>
        <h1>History</h1>
        <div className="row filters">
          {pick("Kind", kind, setKind, KINDS)}
          {pick("State", status, setStatus, STATES)}
        </div>
      </header>
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      {jobs === null && error === null && <div className="grid" aria-hidden="true">{Array.from({ length: 8 }, (_, n) => <div key={n} className="tile bone" />)}</div>}
      {jobs?.length === 0 && !more && (
        <div className="empty">
          <h2>{filter ? "Nothing fits" : "Nothing here yet"}</h2>
          <p>{filter ? "Try another kind or state." : "What you make is kept here, with everything needed to make it again."}</p>
          {!filter && <Link className="button main" href="/create">Make a picture</Link>}
        </div>
      )}
      <div className="grid">{jobs?.map((job) => <Tile key={job.id} job={job} onGone={() => drop(job.id)} />)}</div>
      <div ref={end} className="soft small">{more && jobs ? "More…" : null}</div>
    </>
  );
}

function Tile({ job, onGone }: { job: Job; onGone: () => void }) {
  const say = useSay();
  const first = job.artifacts[0];
  const still = first && (first.thumbnail_url ?? (first.mime_type.startsWith("image/") ? first.url : null));
  const status = STATUS[job.status];
  const erase = async () => {
    if (!confirm("Delete the files and words of this job for ever?")) return;
    try {
      await call("DELETE", `/api/v1/jobs/${job.id}/artifacts`);
      onGone();
      say("Deleted.");
    } catch (problem) {
      say(sentence(problem));
    }
  };
  return (
    <div className="gridcell">
      <Link className="tile" href={`/job?id=${job.id}`} prefetch={false}>
        {still ? <img src={local(still)} alt="" width={256} height={256} loading="lazy" decoding="async" /> : <span className={`chip ${status.tone}`}>{status.word}</span>}
        {job.kind === "video" && still && <span className="chip">Film</span>}
        <span className="words" dir="auto">{job.prompt || `Enlarged ${ago(job.created_at)}`}</span>
        {still && <span className="hidden">{status.word}</span>}
      </Link>
      {isOver(job) && <button type="button" className="button small" aria-label={`Delete: ${job.prompt || "Enlarged"}`} onClick={() => void erase()}><Bin /></button>}
    </div>
  );
}

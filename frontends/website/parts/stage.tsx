"use client";

/** The place where a job's picture will be: what it waits for, how far it is, the preview, then the result. */
import Link from "next/link";
import type { CSSProperties } from "react";

import type { Live } from "@/data/jobs";
import type { Job } from "@/data/types";
import { duration, reason } from "@/data/words";
import { Shot } from "@/parts/shot";

const TILES = 16;

export function Stage({ job, live, whole = false }: { job: Job; live: Live; whole?: boolean }) {
  const shape = { "--w": job.width, "--h": job.height } as CSSProperties;
  if (job.status === "succeeded" && job.artifacts.length > 0) {
    const shots = job.artifacts.map((artifact) => {
      const shown = <Shot job={job} artifact={artifact} whole={whole} />;
      if (whole || artifact.mime_type.startsWith("video/")) return <div className="stage" style={shape} key={artifact.index}>{shown}</div>;
      return <Link className="stage" style={shape} key={artifact.index} href={`/job?id=${job.id}`} prefetch={false}>{shown}</Link>;
    });
    return <div className="sheets">{shots}</div>;
  }
  const share = live.progress?.value ?? job.progress?.value ?? 0;
  const runs = job.status === "running" || job.status === "canceling";
  return (
    <div className="stage" style={shape} aria-busy={runs}>
      {runs && live.preview ? <img className="preview" src={live.preview} alt="How it looks so far" /> : <Words job={job} share={share} runs={runs} live={live} />}
      {runs && <progress className="meter" value={share} max={1} aria-label="Progress" />}
    </div>
  );
}

function Words({ job, share, runs, live }: { job: Job; share: number; runs: boolean; live: Live }) {
  const lit = Math.round(share * TILES);
  return (
    <div className="state">
      {(runs || job.status === "queued") && (
        <div className={`tiles${runs && lit > 0 ? "" : " idle"}`} aria-hidden="true">
          {Array.from({ length: TILES }, (_, n) => <i key={n} className={(n * 7) % TILES < lit ? "on" : ""} />)}
        </div>
      )}
      <p className="small">{said(job, live)}</p>
    </div>
  );
}

/** One honest sentence about how a job is. */
export function said(job: Job, live?: Live): string {
  const waiting = job.waiting;
  if (job.status === "queued" && waiting) {
    const place = waiting.position ? (waiting.position === "1" ? " You are next." : ` Place ${waiting.position} in line.`) : "";
    const time = waiting.eta ? ` About ${duration(waiting.eta.p50_seconds)}, at most ${duration(waiting.eta.p90_seconds)} in nine of ten cases.` : "";
    return reason(waiting.reason) + (waiting.reason === "starting" ? "" : place + time);
  }
  const progress = live?.progress ?? job.progress;
  if (job.status === "running") return progress?.steps ? `Step ${progress.step} of ${progress.steps}` : "It is being made.";
  if (job.status === "canceling") return "It is being stopped.";
  if (job.status === "failed") return `${job.error?.message ?? "It could not be made."} It cost nothing.`;
  if (job.status === "expired") return "It waited longer than you allowed. It cost nothing.";
  if (job.status === "canceled") return job.cost.charged ? "You canceled it while it ran." : "You canceled it. It cost nothing.";
  return job.status === "succeeded" ? "Its files were deleted." : "Waiting.";
}

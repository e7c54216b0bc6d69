"use client";

/** A job on a card, live. */
import { useLive } from "@/data/jobs";
import type { Job, ModelList } from "@/data/types";
import { STATUS, tokens } from "@/data/words";
import { Acts } from "@/parts/acts";
import { Stage } from "@/parts/stage";

export function JobCard({ job, followed, models, put }: { job: Job; followed: boolean; models: ModelList | null; put: (job: Job) => void }) {
  const live = useLive(job, put, followed);
  const status = STATUS[job.status];
  return (
    <article className="job" aria-label={job.prompt || "Job"}>
      <Stage job={job} live={live} />
      <div className="under">
        <p className="prompt" dir="auto">{job.prompt || "Enlarged"}</p>
        <div className="row apart small soft">
          <span className={`chip ${status.tone}`}>{status.word}</span>
          <span>{job.width} × {job.height} · {tokens(job.cost.charged || job.cost.held)}</span>
        </div>
        <Acts job={job} models={models} onNew={put} onChange={put} />
      </div>
    </article>
  );
}

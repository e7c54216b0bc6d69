"use client";

/** One job: its result, how it was made, and what happened to it. */
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useCallback, useRef } from "react";

import { Problem, sentence } from "@/data/api";
import { useLive } from "@/data/jobs";
import { useResource } from "@/data/resource";
import type { Job } from "@/data/types";
import { moment, STATUS, tokens } from "@/data/words";
import { Acts, useModels } from "@/parts/acts";
import { Flag } from "@/parts/icons";
import { Publish } from "@/parts/publish";
import { Report } from "@/parts/report";
import { Share } from "@/parts/share";
import { said, Stage } from "@/parts/stage";
import { Story } from "@/parts/story";

export function JobPage() {
  const id = useSearchParams().get("id") ?? "";
  const { data: job, error, set } = useResource<Job>(`/api/v1/jobs/${encodeURIComponent(id)}`);
  const put = useCallback((next: Job) => set(next), [set]);
  if (error) {
    const missing = error instanceof Problem && error.status < 500 && error.status > 0;
    return (
      <div className="empty">
        <h1>{missing ? "There is no such job" : "It cannot be shown"}</h1>
        <p>{missing ? "It may have been deleted, or belong to somebody else." : sentence(error)}</p>
        <Link className="button" href="/history">To your history</Link>
      </div>
    );
  }
  if (!job) return <div className="jobpage"><div className="bone stage" /></div>;
  return <Shown job={job} put={put} />;
}

function Shown({ job, put }: { job: Job; put: (job: Job) => void }) {
  const live = useLive(job, put, true);
  const models = useModels();
  const router = useRouter();
  const report = useRef<HTMLDialogElement>(null);
  const status = STATUS[job.status];
  return (
    <>
      <header>
        <h1 className="hidden">{job.prompt || "Enlarged picture"}</h1>
        <Link href="/history" prefetch={false}>History</Link>
        <span className={`chip ${status.tone}`}>{status.word}</span>
      </header>
      <div className="jobpage">
        <article className="job"><Stage job={job} live={live} whole /></article>
        <div className="stack loose">
          <div className="stack">
            <p className="words" dir="auto">{job.prompt || "Enlarged picture"}</p>
            {job.typed?.prompt && <p className="small soft" dir="auto">Translated from: {job.typed.prompt}</p>}
            {job.negative_prompt && <p className="small soft" dir="auto">Without: {job.negative_prompt}</p>}
            {job.status !== "succeeded" && <p className="small soft">{said(job, live)}</p>}
            <Acts job={job} models={models} onNew={(made) => router.push(`/job?id=${made.id}`)} onChange={put} onGone={() => router.push("/history")} />
            <Share job={job} />
            <Publish job={job} />
            <div className="acts"><button type="button" className="button small bare" onClick={() => report.current?.showModal()}><Flag /> Report</button></div>
          </div>
          <section className="stack tight">
            <h2>How it was made</h2>
            <Facts job={job} />
          </section>
          <section className="stack tight">
            <h2>What happened</h2>
            <Story job={job} key={job.status} />
          </section>
        </div>
      </div>
      <Report dialog={report} job={job} />
    </>
  );
}

function Facts({ job }: { job: Job }) {
  const models = useModels();
  const title = models?.data.find((model) => model.name === job.model && model.kind === job.kind)?.title ?? job.model;
  const facts: [string, string | null][] = [
    ["Model", title],
    ["Size", `${job.width} × ${job.height}${job.count > 1 ? `, ${job.count} of them` : ""}`],
    ["Length", job.frames && job.fps ? `${(job.frames / job.fps).toFixed(1)} s, ${job.frames} frames` : null],
    ["Steps", String(job.steps)],
    ["Guidance", String(job.guidance)],
    ["Seed", String(job.seed)],
    ["Strength", job.strength === null ? null : String(job.strength)],
    ["Enlarged", job.upscale === null ? null : `${job.upscale} times`],
    ["Cost", tokens(job.cost.charged || job.cost.held)],
    ["Ordered", moment(job.created_at)],
  ];
  return (
    <dl className="facts">
      {facts.map(([name, value]) => value !== null && <div className="fact" key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

"use client";

/** What happened to a job, in order. */
import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Job, Timeline } from "@/data/types";
import { clock } from "@/data/words";

const WORDS: Record<string, string> = {
  "job.submitted": "Ordered",
  "job.claimed": "Given to a machine",
  "job.taken_over": "Taken over by a machine that was free sooner",
  "job.started": "Begun",
  "job.retried": "That try failed; another one follows",
  "job.released": "Given back, and in line again",
  "job.reaped": "The machine was lost; in line again",
  "job.cancel_requested": "You asked to stop",
  "job.succeeded": "Done",
  "job.failed": "Given up",
  "job.canceled": "Canceled",
  "job.expired": "Not begun in time",
};

export function Story({ job }: { job: Job }) {
  const { data, error } = useResource<Timeline>(`/api/v1/jobs/${job.id}/timeline`);
  if (error) return <p className="small soft">{sentence(error)}</p>;
  return (
    <ol className="story">
      {data?.data.map((event, n) => (
        <li key={n}>
          <b>{WORDS[event.name] ?? event.name}</b>
          {event.attempt > 1 && ` (try ${event.attempt})`}
          <br />
          <time className="soft" dateTime={event.at}>{clock(event.at)}</time>
        </li>
      ))}
    </ol>
  );
}

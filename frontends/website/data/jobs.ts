"use client";

/**
 * Jobs as they are: the server's list, kept up to date by one stream over all of the person's jobs, and for a job that
 * runs by its own stream (progress and previews). A stream that breaks is opened again by the browser, which says where
 * it was; a stream that could not go on says so (`resumed: false`), and then the list is read once more.
 */
import { useCallback, useEffect, useRef, useState } from "react";

import { get } from "@/data/api";
import { tell } from "@/data/resource";
import { useSession } from "@/data/session";
import type { Job, JobList, Progress } from "@/data/types";

const EVENTS = [
  "job.submitted", "job.claimed", "job.taken_over", "job.started", "job.retried", "job.released", "job.reaped",
  "job.cancel_requested", "job.succeeded", "job.failed", "job.canceled", "job.expired",
] as const;
const OVER = new Set(["succeeded", "failed", "canceled", "expired"]);
const AGAIN_MILLISECONDS = 2_000;
const LOOK_MILLISECONDS = 3_000;

export const isOver = (job: Job) => OVER.has(job.status);

export type Live = { progress: Progress | null; preview: string | null };
export type Jobs = {
  jobs: Job[] | null;
  more: boolean;
  error: unknown;
  next: () => Promise<void>;
  put: (job: Job) => void;
  drop: (id: string) => void;
};

/** The newest jobs that fit `filter` (a query string), page by page, live. */
export function useJobs(filter: string, limit: number): Jobs {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const [cursor, setCursor] = useState<string | null | undefined>(undefined);
  const [error, setError] = useState<unknown>(null);
  const known = useSession().session?.signed_in ?? false;
  const loading = useRef(false);
  const wanted = useRef(filter);
  wanted.current = filter;

  const put = useCallback((job: Job) => {
    setJobs((all) => {
      if (!all) return all;
      const at = all.findIndex((one) => one.id === job.id);
      if (at >= 0) return all.map((one) => (one.id === job.id ? job : one));
      return fits(job, wanted.current) ? [job, ...all] : all;
    });
  }, []);
  const drop = useCallback((id: string) => setJobs((all) => all && all.filter((one) => one.id !== id)), []);

  const load = useCallback(
    async (from: string | null) => {
      if (from !== null && loading.current) return;
      if (from !== null) loading.current = true;
      try {
        const query = new URLSearchParams(filter);
        query.set("limit", String(limit));
        if (from) query.set("cursor", from);
        const page = await get<JobList>(`/api/v1/jobs?${query}`);
        if (wanted.current !== filter) return;
        setJobs((all) => merged(all, page, from !== null));
        setCursor((was) => (from !== null || was === undefined ? page.next_cursor : was));
        setError(null);
      } catch (problem) {
        setError(problem);
        tell(problem);
      } finally {
        if (from !== null) loading.current = false;
      }
    },
    [filter, limit],
  );

  useEffect(() => {
    setJobs(null);
    setCursor(undefined);
    if (known) void load(null);
  }, [load, known]);

  useStream(known ? "/api/v1/events" : null, (name, data) => {
    if (name === "opened") {
      if (!(data as { resumed: boolean }).resumed) void load(null);
    } else {
      const job = (data as { job: Job | null }).job;
      if (job && !job.test) put(job);
    }
  }, [put, load]);

  const next = useCallback(() => (cursor ? load(cursor) : Promise.resolve()), [load, cursor]);
  return { jobs, more: Boolean(cursor), error, next, put, drop };
}

/**
 * What one job is doing right now; `onChange` hears of the job itself. A browser keeps no more than six connections to
 * a host, so only one job of a page is `followed` by a stream, with its previews; the others are looked at.
 */
export function useLive(job: Job | null, onChange: (job: Job) => void, followed: boolean): Live {
  const [live, setLive] = useState<Live>({ progress: null, preview: null });
  const id = job && !isOver(job) ? job.id : null;
  const path = id && followed ? `/api/v1/jobs/${id}/events` : null;
  useEffect(() => {
    if (!id || followed) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") get<Job>(`/api/v1/jobs/${id}`).then(onChange, tell);
    }, LOOK_MILLISECONDS);
    return () => clearInterval(timer);
  }, [id, followed, onChange]);
  useStream(path, (name, data) => {
    if (name === "progress") setLive((was) => ({ ...was, progress: data as Progress }));
    else if (name === "preview") {
      const { mime_type, data: bytes } = data as { mime_type: string; data: string };
      setLive((was) => ({ ...was, preview: `data:${mime_type};base64,${bytes}` }));
    } else if (name === "snapshot") onChange(data as Job);
    else if ((data as { job?: Job | null }).job) onChange((data as { job: Job }).job);
  }, [onChange]);
  return live;
}

/**
 * Server-Sent Events while the component lives and its tab is looked at: hidden tabs give their connections back. The
 * browser reconnects by itself, unless it was refused.
 */
function useStream(path: string | null, hear: (name: string, data: unknown) => void, inputs: unknown[]) {
  useEffect(() => {
    if (path === null) return;
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let tries = 0;
    const close = () => {
      clearTimeout(timer);
      source?.close();
      source = undefined;
    };
    const open = () => {
      const opened = (source = new EventSource(path));
      for (const name of ["opened", "snapshot", "progress", "preview", ...EVENTS]) {
        opened.addEventListener(name, (event) => {
          tries = 0;
          hear(name, JSON.parse((event as MessageEvent<string>).data));
        });
      }
      opened.onerror = () => {
        if (opened.readyState !== EventSource.CLOSED) return;
        dispatchEvent(new Event("tessera:unauthorized")); // it was refused: perhaps nobody is signed in any more
        timer = setTimeout(open, Math.min(30_000, AGAIN_MILLISECONDS * 2 ** tries++) * (0.5 + Math.random()));
      };
    };
    const look = () => {
      if (document.visibilityState === "hidden") close();
      else if (!source) open();
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      close();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the caller names what its ears depend on
  }, [path, ...inputs]);
}

/** A page put to what is there: behind it when it follows, else in front, with what is older kept. */
function merged(all: Job[] | null, page: JobList, follows: boolean): Job[] {
  if (!all) return page.data;
  const known = new Set(page.data.map((job) => job.id));
  const rest = all.filter((job) => !known.has(job.id));
  if (follows) return [...rest.slice(0, all.length), ...page.data];
  const oldest = page.data.at(-1)?.created_at;
  return page.has_more && oldest ? [...page.data, ...rest.filter((job) => job.created_at < oldest)] : page.data;
}

function fits(job: Job, filter: string): boolean {
  const query = new URLSearchParams(filter);
  return ["status", "kind", "model"].every((key) => !query.get(key) || query.get(key) === job[key as "status"]);
}

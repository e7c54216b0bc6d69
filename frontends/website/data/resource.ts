"use client";

/** Something that the server knows: asked for when shown, again on demand, when the tab is looked at, or by the clock. */
import { useCallback, useEffect, useRef, useState } from "react";

import { get, Problem } from "@/data/api";
import { useSession } from "@/data/session";

export type Resource<T> = {
  data: T | null;
  error: unknown;
  reload: () => Promise<void>;
  set: (next: T) => void;
};

/** What anybody may read; everything else waits until it is known that somebody is signed in. */
const PUBLIC = new Set(["/api/v1/models", "/api/v1/plans", "/api/v1/packs", "/api/v1/gallery?limit=12"]);

export function useResource<T>(wanted: string | null, everyMilliseconds = 0): Resource<T> {
  const { session } = useSession();
  const path = wanted !== null && (session?.signed_in || PUBLIC.has(wanted)) ? wanted : null;
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<unknown>(null);
  const current = useRef<AbortController | null>(null);

  const latest = useRef(path);
  latest.current = path;
  const reload = useCallback(async () => {
    const path = latest.current; // as it is by then: a form may have been sent before it was known who is signed in
    if (path === null) return;
    current.current?.abort();
    const mine = (current.current = new AbortController());
    try {
      const got = await get<T>(path, mine.signal);
      if (mine.signal.aborted) return;
      setData(got);
      setError(null);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setError(problem);
      tell(problem);
    }
  }, []);

  useEffect(() => {
    setData(null);
    setError(null);
    void reload();
    const seen = () => document.visibilityState === "visible" && void reload();
    const timer = everyMilliseconds ? setInterval(seen, everyMilliseconds) : undefined;
    document.addEventListener("visibilitychange", seen);
    return () => {
      current.current?.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [reload, path, everyMilliseconds]);

  return { data, error, reload, set: setData };
}

/** A session that has ended is noticed wherever it is noticed first. */
export function tell(problem: unknown) {
  if (problem instanceof Problem && problem.status === 401) dispatchEvent(new Event("tessera:unauthorized"));
}

"use client";

/** The link of a job: made, copied, taken back. */
import { useAct } from "@/data/act";
import { call } from "@/data/api";
import { copy } from "@/data/hands";
import { useResource } from "@/data/resource";
import type { Job, Share as Link, Sharing } from "@/data/types";
import { Out } from "@/parts/icons";
import { Secret } from "@/parts/secret";

export function Share({ job }: { job: Job }) {
  const { busy, act } = useAct();
  const path = `/api/v1/jobs/${job.id}/share`;
  const able = job.status === "succeeded" && job.artifacts.length > 0 && !job.test;
  const { data, set } = useResource<Sharing>(able ? path : null);
  if (!able) return null;
  const link = data?.link;
  const make = () =>
    act(async () => {
      const made = await call<Link>("POST", path);
      set({ link: made });
      await copy(here(made));
    }, "The link is copied.");
  const end = () =>
    act(async () => {
      await call("DELETE", path);
      set({ link: null });
    }, "The link shows nothing any more.");
  if (!link) return <div className="acts"><button type="button" className="button small bare" disabled={busy || !data} onClick={() => void make()}><Out /> Share by a link</button></div>;
  return (
    <div className="stack tight">
      <Secret text={here(link)} />
      <p className="small soft">Whoever has this link sees the picture and its words. <button type="button" className="button small" disabled={busy} onClick={() => void end()}>Take it back</button></p>
    </div>
  );
}

const here = (link: Link) => `${location.origin}/shared#${link.token}`;

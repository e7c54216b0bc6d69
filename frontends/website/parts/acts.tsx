"use client";

/** What can be done with a job: cancel it, or with its result: fetch, repeat, vary, enlarge, take its settings. */
import { useRouter } from "next/navigation";
import { useState } from "react";

import { call, local, sentence } from "@/data/api";
import { copy, orderKey } from "@/data/hands";
import { isOver } from "@/data/jobs";
import { useResource } from "@/data/resource";
import type { Job, ModelList } from "@/data/types";
import { tokens } from "@/data/words";
import { Bin, Copy, Down, Enlarge, Repeat, Vary } from "@/parts/icons";
import { useSay } from "@/parts/toasts";

const MODELS_MILLISECONDS = 15_000;

export function Acts({ job, onNew, onChange, onGone, models }: { job: Job; models: ModelList | null; onNew: (job: Job) => void; onChange: (job: Job) => void; onGone?: () => void }) {
  const say = useSay();
  const router = useRouter();
  const [busy, setBusy] = useState(false);
  const act = async (what: () => Promise<void>) => {
    setBusy(true);
    try {
      await what();
    } catch (problem) {
      say(sentence(problem));
    } finally {
      setBusy(false);
    }
  };
  const order = (path: string, body: unknown) =>
    act(async () => {
      const made = await call<Job>("POST", path, body, { headers: { "Idempotency-Key": orderKey() } });
      onNew(made);
      say(`Ordered for ${tokens(made.cost.held)}.`);
    });
  if (!isOver(job)) {
    const cancel = () => act(async () => onChange(await call<Job>("DELETE", `/api/v1/jobs/${job.id}`)));
    return (
      <div className="acts">
        <button type="button" className="button small" disabled={busy || job.status === "canceling"} onClick={() => void cancel()}>Cancel</button>
      </div>
    );
  }
  const larger = models?.data.find((model) => model.kind === "image" && model.feasible_now && !model.paused && model.tasks.includes("upscale") && model.upscales.length > 0);
  const first = job.artifacts[0];
  const made = job.status === "succeeded" && first !== undefined;
  const erase = () =>
    act(async () => {
      if (!confirm("Delete the files and words of this job for ever? What it cost stays in your ledger.")) return;
      await call("DELETE", `/api/v1/jobs/${job.id}/artifacts`);
      say("Deleted.");
      onGone?.();
    });
  return (
    <div className="acts">
      {job.artifacts.map((artifact) => (
        <a key={artifact.index} className="button small bare" href={local(artifact.url)} download={`tessera-${job.id.slice(0, 8)}-${artifact.index}.${suffix(artifact.mime_type)}`}>
          <Down /> Download{job.artifacts.length > 1 ? ` ${artifact.index + 1}` : ""}
        </a>
      ))}
      <button type="button" className="button small bare" disabled={busy} onClick={() => void order(`/api/v1/jobs/${job.id}/repeat`, {})}><Repeat /> Repeat</button>
      <button type="button" className="button small bare" disabled={busy} onClick={() => void order(`/api/v1/jobs/${job.id}/repeat`, { seed: null })}><Vary /> Vary</button>
      {made && (larger || !models) && job.kind === "image" && job.upscale === null && (
        <button type="button" className="button small bare" disabled={busy || !larger} onClick={() => void order("/api/v1/jobs", { model: larger?.name, input_image: { job_id: job.id, index: first.index }, upscale: larger?.upscales[0] })}>
          <Enlarge /> Upscale
        </button>
      )}
      <button type="button" className="button small bare" onClick={() => void act(async () => { await copy(parameters(job)); say("Parameters copied."); })}><Copy /> Copy parameters</button>
      <button type="button" className="button small bare" onClick={() => router.push(`/create?from=${job.id}`)}>Edit</button>
      {onGone && <button type="button" className="button small bare" disabled={busy} onClick={() => void erase()}><Bin /> Delete</button>}
    </div>
  );
}

const suffix = (type: string) => ({ "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4", "video/webm": "webm" })[type] ?? "png";

/** An order that makes the same again, as the API takes it. */
export function parameters(job: Job): string {
  const names = ["kind", "model", "prompt", "negative_prompt", "width", "height", "steps", "guidance", "sampler", "seed", "count", "strength", "frames", "fps", "upscale", "loras"] as const;
  const kept = names.filter((name) => job[name] !== null && job[name] !== undefined && job[name] !== "");
  return JSON.stringify(Object.fromEntries(kept.map((name) => [name, job[name]])), null, 2);
}

export const useModels = () => useResource<ModelList>("/api/v1/models", MODELS_MILLISECONDS).data;

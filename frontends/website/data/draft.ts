"use client";

/**
 * What somebody is about to order. It is kept in the browser, so a refresh loses nothing, and becomes an order by one
 * pure function, which leaves out whatever the model does not take.
 */
import { useEffect, useState } from "react";

import { nearest, size, type Scale, type Shape } from "@/data/sizes";
import type { Input, Job, Model, Order } from "@/data/types";

export type Draft = {
  kind: "image" | "video";
  model: string | null;
  prompt: string;
  negative: string;
  shape: Shape;
  scale: Scale;
  count: number;
  seed: string;
  steps: number | null;
  guidance: number | null;
  strength: number;
  seconds: number | null;
  input: Pick<Input, "id" | "url" | "width" | "height"> | null;
};

export const BLANK: Draft = {
  kind: "image", model: null, prompt: "", negative: "", shape: "1:1", scale: "Standard", count: 1, seed: "",
  steps: null, guidance: null, strength: 0.6, seconds: null, input: null,
};
const PLACE = "draft";
const SEED_MAX = 2 ** 53 - 1;

export function useDraft(): [Draft, (change: Partial<Draft>) => void] {
  const [draft, setDraft] = useState<Draft>(BLANK);
  useEffect(() => {
    try {
      const kept = sessionStorage.getItem(PLACE);
      if (kept) setDraft({ ...BLANK, ...(JSON.parse(kept) as Partial<Draft>) });
    } catch {
      // What cannot be read is not there.
    }
  }, []);
  const change = (some: Partial<Draft>) =>
    setDraft((was) => {
      const next = { ...was, ...some };
      try {
        sessionStorage.setItem(PLACE, JSON.stringify(next));
      } catch {
        // It is kept as long as the page.
      }
      return next;
    });
  return [draft, change];
}

/** The model that a draft is for. */
export function chosen(draft: Draft, models: Model[]): Model | undefined {
  const able = models.filter((model) => model.kind === draft.kind && model.tasks.includes(task(draft)));
  return able.find((model) => model.name === draft.model) ?? able[0];
}

export function task(draft: Draft) {
  if (draft.kind === "video") return draft.input ? "image-to-video" : "text-to-video";
  return draft.input ? "image-to-image" : "text-to-image";
}

export function order(draft: Draft, model: Model, pixelsMax: number): Order {
  const made: Record<string, unknown> = {
    prompt: draft.prompt.trim(), kind: draft.kind, model: model.name, count: draft.count,
    ...size(model, draft.shape, draft.scale, pixelsMax),
  };
  if (draft.negative.trim()) made.negative_prompt = draft.negative.trim();
  if (isSeed(draft.seed) && draft.seed !== "") made.seed = Number(draft.seed);
  if (draft.steps !== null) made.steps = Math.min(draft.steps, model.steps_max);
  if (draft.guidance !== null) made.guidance = draft.guidance;
  if (draft.input) {
    made.input_image = draft.input.id;
    made.strength = draft.strength;
  }
  if (draft.kind === "video" && model.fps && draft.seconds !== null) {
    made.frames = Math.max(1, Math.min(Math.round(draft.seconds * model.fps), model.frames_max ?? Infinity));
  }
  return made as Order;
}

export const isSeed = (text: string) => text === "" || (/^\d{1,16}$/.test(text) && Number(text) <= SEED_MAX);

/** A draft with what a job was ordered with. */
export function taken(job: Job, model: Model | undefined): Partial<Draft> {
  return {
    kind: job.kind, model: job.model, prompt: job.prompt, negative: job.negative_prompt, count: job.count,
    seed: String(job.seed), steps: job.steps, guidance: job.guidance, strength: job.strength ?? BLANK.strength,
    seconds: job.frames && job.fps ? job.frames / job.fps : null, input: null,
    ...(model ? nearest(model, job.width, job.height) : {}),
  };
}

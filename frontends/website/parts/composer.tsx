"use client";

/** Where an order is written: words first, everything else has a good default and stands below. */
import { useRef, useState, type FormEvent, type KeyboardEvent } from "react";

import { call, sentence } from "@/data/api";
import { chosen, isSeed, order, task, type Draft } from "@/data/draft";
import { orderKey } from "@/data/hands";
import { useQuote } from "@/data/quote";
import { tell } from "@/data/resource";
import { SCALES, SHAPES, size } from "@/data/sizes";
import type { Account, Job, ModelList } from "@/data/types";
import { Choices } from "@/parts/choices";
import { Fine } from "@/parts/fine";
import { Given, usePicker, Well } from "@/parts/picker";
import { Price } from "@/parts/price";

const PROMPT_LENGTH_MAX = 4_000;

export function Composer({ draft, change, models, account, onNew }: { draft: Draft; change: (some: Partial<Draft>) => void; models: ModelList | null; account: Account | null; onNew: (job: Job) => void }) {
  const all = models?.data ?? [];
  const model = chosen(draft, all);
  const pixelsMax = account?.limits.pixels_max ?? Infinity;
  const wanted = model ? order(draft, model, pixelsMax) : null;
  const asked = useQuote(account ? wanted : null);
  const [sending, setSending] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const sent = useRef<{ body: string; key: string } | null>(null);
  const picker = usePicker((input) => change({ input }));
  const ready = wanted !== null && draft.prompt.trim() !== "" && isSeed(draft.seed) && !sending && !asked.quote?.refusal;

  const submit = async (event?: FormEvent) => {
    event?.preventDefault();
    if (!ready) return;
    const body = JSON.stringify(wanted);
    if (sent.current?.body !== body) sent.current = { body, key: orderKey() };
    setSending(true);
    setRefused(null);
    try {
      onNew(await call<Job>("POST", "/api/v1/jobs", wanted, { headers: { "Idempotency-Key": sent.current.key } }));
      sent.current = null;
    } catch (problem) {
      tell(problem);
      setRefused(sentence(problem));
    } finally {
      setSending(false);
    }
  };
  const hurry = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) void submit();
  };
  const makes = (kind: Draft["kind"]) => !models || all.some((one) => one.kind === kind);
  const able = all.filter((one) => one.kind === draft.kind && one.tasks.includes(task(draft)));
  const { width, height } = model ? size(model, draft.shape, draft.scale, pixelsMax) : { width: 0, height: 0 };
  return (
    <form className="composer" onSubmit={(event) => void submit(event)} onKeyDown={hurry}>
      <Choices name="kind" title="What" hideTitle value={draft.kind} onChange={(kind) => change({ kind, model: null, steps: null, guidance: null })} choices={[{ value: "image", title: "Picture", disabled: !makes("image") }, { value: "video", title: "Film", disabled: !makes("video") }]} />
      <Well picker={picker}>
        <label className="hidden" htmlFor="prompt">What to make</label>
        <textarea id="prompt" className="input prompt" dir="auto" placeholder="A lighthouse on a hill at dusk, the sea in tiles" value={draft.prompt} maxLength={PROMPT_LENGTH_MAX} onChange={(event) => change({ prompt: event.target.value })} />
      </Well>
      <Given input={draft.input} picker={picker} onInput={() => change({ input: null })} />
      {models && !model && <p className="notice">No model here makes {draft.kind === "video" ? "films" : "pictures"}{draft.input ? " of pictures" : ""}.</p>}
      <div className="field">
        <label htmlFor="model">Model</label>
        <select id="model" className="select" value={model?.name ?? ""} disabled={able.length === 0} onChange={(event) => change({ model: event.target.value, steps: null, guidance: null })}>
          {able.map((one) => <option key={one.name} value={one.name}>{one.title}{one.paused ? " (paused)" : one.feasible_now ? "" : " (no machine now)"}</option>)}
        </select>
      </div>
      <Choices name="shape" title="Shape" value={draft.shape} onChange={(shape) => change({ shape })} choices={SHAPES.map((one) => ({ value: one.name, title: one.name, look: <i className={one.look} aria-hidden="true" /> }))} />
      <div className="two">
        <Choices name="scale" title={`Size${width ? ` · ${width} × ${height}` : ""}`} value={draft.scale} onChange={(scale) => change({ scale })} choices={SCALES.map((one) => ({ value: one.name, title: one.name }))} />
        <Choices name="count" title="How many" value={draft.count} onChange={(count) => change({ count })} choices={[1, 2, 3, 4].map((value) => ({ value, title: String(value) }))} />
      </div>
      <Fine draft={draft} change={change} model={model} account={account} />
      {refused && <p className="notice bad" role="alert">{refused}</p>}
      <Price asked={asked} ready={ready} sending={sending} />
    </form>
  );
}

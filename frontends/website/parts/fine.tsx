"use client";

/** The finer settings; who does not open them gets the model's own. */
import { isSeed, type Draft } from "@/data/draft";
import type { Account, Model } from "@/data/types";
import { Dice } from "@/parts/icons";

export function Fine({ draft, change, model, account }: { draft: Draft; change: (some: Partial<Draft>) => void; model: Model | undefined; account: Account | null }) {
  const steps = draft.steps ?? model?.steps ?? 1;
  const guidance = draft.guidance ?? model?.guidance ?? 7;
  return (
    <>
      {draft.kind === "video" && model?.fps && <Length draft={draft} change={change} model={model} account={account} />}
      {draft.input && <Range id="strength" title="How much is made anew" value={draft.strength} min={0} max={1} step={0.05} shown={`${Math.round(draft.strength * 100)} %`} onChange={(strength) => change({ strength })} />}
      <details>
        <summary>More settings</summary>
        <div className="stack">
          <div className="field">
            <label htmlFor="negative">What should not be in it</label>
            <input id="negative" className="input" dir="auto" value={draft.negative} maxLength={4000} onChange={(event) => change({ negative: event.target.value })} />
          </div>
          <div className="field">
            <label htmlFor="seed">Seed</label>
            <div className="row">
              <input id="seed" className="input grow" inputMode="numeric" placeholder="drawn for you" value={draft.seed} aria-invalid={!isSeed(draft.seed)} onChange={(event) => change({ seed: event.target.value.trim() })} />
              <button type="button" className="button" aria-label="Draw a seed" onClick={() => change({ seed: String(crypto.getRandomValues(new Uint32Array(1))[0]) })}><Dice /></button>
            </div>
            {!isSeed(draft.seed) && <small role="alert">A whole number from 0 to 9007199254740991.</small>}
          </div>
          {model && <Range id="steps" title="Steps" value={Math.min(steps, model.steps_max)} min={1} max={model.steps_max} step={1} shown={String(Math.min(steps, model.steps_max))} onChange={(value) => change({ steps: value })} />}
          <Range id="guidance" title="How closely it follows the words" value={guidance} min={0} max={20} step={0.5} shown={String(guidance)} onChange={(value) => change({ guidance: value })} />
        </div>
      </details>
    </>
  );
}

function Length({ draft, change, model, account }: { draft: Draft; change: (some: Partial<Draft>) => void; model: Model; account: Account | null }) {
  const fps = model.fps ?? 1;
  const most = Math.min((model.frames_max ?? fps) / fps, account?.limits.video_seconds_max || Infinity);
  const seconds = Math.min(draft.seconds ?? (model.frames ?? fps) / fps, most);
  return <Range id="seconds" title="Length" value={seconds} min={Math.min(0.5, most)} max={most} step={0.25} shown={`${seconds.toFixed(1)} s`} onChange={(value) => change({ seconds: value })} />;
}

function Range({ id, title, shown, value, min, max, step, onChange }: { id: string; title: string; shown: string; value: number; min: number; max: number; step: number; onChange: (value: number) => void }) {
  return (
    <div className="field">
      <label htmlFor={id} className="row apart">{title} <span className="soft">{shown}</span></label>
      <input id={id} type="range" min={min} max={max} step={step} value={value} aria-valuetext={shown} onChange={(event) => onChange(event.target.valueAsNumber)} />
    </div>
  );
}

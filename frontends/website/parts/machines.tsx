"use client";

/** The machines: how each is, what it has loaded, how warm it runs; and what can be done with it. */
import { useState } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import type { Enrolment, Worker, WorkerList } from "@/data/types";
import { ago } from "@/data/words";
import { Secret } from "@/parts/secret";

const TONES: Record<string, string> = { idle: "good", busy: "busy", away: "bad", draining: "wait", drained: "wait", quarantined: "bad", revoked: "bad" };

export function Machines({ workers, reload }: { workers: WorkerList | null; reload: () => Promise<void> }) {
  const { busy, act } = useAct();
  const [made, setMade] = useState<Enrolment | null>(null);
  const tell = (worker: Worker, verb: string) =>
    act(async () => {
      if (verb === "revoke" && !confirm(`End the rights of ${worker.name} for ever? What it holds goes back into the line.`)) return;
      await call("POST", `/api/v1/admin/workers/${worker.id}/${verb}`);
      await reload();
    });
  return (
    <section className="card stack">
      <div className="row apart">
        <h2>Machines</h2>
        <button type="button" className="button small" disabled={busy} onClick={() => void act(async () => setMade(await call<Enrolment>("POST", "/api/v1/admin/enrolment-tokens", {})))}>Add a machine</button>
      </div>
      {made && (
        <div className="notice good stack tight">
          <p>Run this on the machine with the GPU, within an hour. It works once.</p>
          <Secret text={made.command} />
          <button type="button" className="button small" onClick={() => setMade(null)}>Done</button>
        </div>
      )}
      <ul className="list machines">
        {workers?.data.map((worker) => (
          <li key={worker.id} className="row apart">
            <div className="grow">
              <b>{worker.name}</b> <span className={`chip ${TONES[worker.condition] ?? ""}`}>{worker.condition}</span>
              <p className="small soft">{worker.last_seen_at ? `seen ${ago(worker.last_seen_at)}` : "never seen"} · agent {worker.agent_version} · serves {worker.serves.join(", ") || "nothing"}</p>
              {worker.engines.map((engine) => <p key={engine.slot} className="small">Slot {engine.slot}: {engine.loaded ?? "nothing loaded"}{engine.vram_gib > 0 && `, ${engine.vram_gib} GiB`}{measured(engine.gpu)}{engine.jobs.length > 0 && <>, working on <code>{engine.jobs[0]}</code></>}{engine.jobs.length > 1 && `, ${engine.jobs.length - 1} more in hand`} {engine.quarantined && <span className="chip bad">quarantined</span>}</p>)}
            </div>
            <div className="row">
              {worker.condition === "draining" || worker.condition === "drained" || worker.condition === "quarantined"
                ? <button type="button" className="button small" disabled={busy} onClick={() => void tell(worker, "resume")}>Resume</button>
                : <button type="button" className="button small" disabled={busy} onClick={() => void tell(worker, "drain")}>Drain</button>}
              <button type="button" className="button small danger" disabled={busy} onClick={() => void tell(worker, "revoke")}>Revoke</button>
            </div>
          </li>
        ))}
        {workers?.data.length === 0 && <li className="soft">No machine yet. Add one, and it takes orders a minute later.</li>}
      </ul>
    </section>
  );
}

const UNITS: Record<string, string> = { temperature_celsius: "°C", utilisation_percent: "% busy", power_watts: "W" };

const measured = (gpu: Record<string, number>) => Object.entries(gpu).filter(([name]) => UNITS[name]).map(([name, value]) => `, ${Math.round(value)} ${UNITS[name]}`).join("");

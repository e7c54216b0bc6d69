"use client";

/** The lines of jobs, and the switches that stop them. */
import { useState } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import type { Service } from "@/data/types";
import { count } from "@/data/words";

export function Queue({ service, reload }: { service: Service | null; reload: () => Promise<void> }) {
  const { busy, act } = useAct();
  const turn = (what: string, name: string, paused: boolean) =>
    act(async () => {
      await call("POST", "/api/v1/admin/switches", { what, name, paused });
      await reload();
    });
  const [all, setAll] = useState(false);
  const lanes = service?.lanes ?? [];
  const shown = all ? lanes : lanes.filter((lane) => lane.queued + lane.backoff + lane.leased + lane.live_slots > 0 || lane.paused);
  const waiting = lanes.reduce((sum, lane) => sum + lane.queued, 0);
  const running = lanes.reduce((sum, lane) => sum + lane.leased, 0);
  return (
    <section className="card stack">
      <div className="row apart">
        <h2>Queue</h2>
        <span className="row">
          {service?.submits_paused && <span className="chip bad">orders are refused</span>}
          <button type="button" className={`button small${service?.submits_paused ? "" : " danger"}`} disabled={busy || !service} onClick={() => void turn("submits", "", !service?.submits_paused)}>
            {service?.submits_paused ? "Take orders again" : "Take no orders"}
          </button>
        </span>
      </div>
      <div className="purses">
        <p><span className="number">{service ? count(waiting) : "–"}</span><small className="soft">waiting</small></p>
        <p><span className="number">{service ? count(running) : "–"}</span><small className="soft">with a machine</small></p>
        {Object.entries(service?.workers ?? {}).map(([name, many]) => <p key={name}><span className="number">{many}</span><small className="soft">{name}</small></p>)}
      </div>
      <div className="scroll" tabIndex={0} role="region" aria-label="Lanes">
        <table className="lanes">
          <thead><tr><th>Lane</th><th className="num">Waiting</th><th className="num">Oldest</th><th className="num">Retrying</th><th className="num">Running</th><th className="num">Slots</th><th><span className="hidden">Switch</span></th></tr></thead>
          <tbody>
            {shown.map((lane) => (
              <tr key={lane.id}>
                <td><b>{lane.model}</b> <span className="soft">{lane.kind}{lane.vram_gib > 0 && `, over ${lane.vram_gib} GiB`}</span> {lane.paused && <span className="chip bad">paused</span>}</td>
                <td className="num">{count(lane.queued)}</td>
                <td className="num">{lane.oldest_seconds === null ? "–" : age(lane.oldest_seconds)}</td>
                <td className="num">{count(lane.backoff)}</td>
                <td className="num">{count(lane.leased)}</td>
                <td className="num">{lane.live_slots === 0 && lane.queued > 0 ? <span className="chip bad">none</span> : lane.live_slots}</td>
                <td className="num"><button type="button" className="button small" disabled={busy} onClick={() => void turn("lane", String(lane.id), !lane.paused)}>{lane.paused ? "Resume" : "Pause"}</button></td>
              </tr>
            ))}
            {service && lanes.length === 0 && <tr><td colSpan={7} className="soft">Nothing was ever ordered.</td></tr>}
          </tbody>
        </table>
      </div>
      {(!service || lanes.length > shown.length) && <div><button type="button" className="button small bare" disabled={!service} onClick={() => setAll(true)}>Show {service ? `${lanes.length - shown.length} ` : ""}idle lanes</button></div>}
    </section>
  );
}

const age = (seconds: number) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`);

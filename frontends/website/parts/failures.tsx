"use client";

/** The newest jobs that were given up, of everybody; never what was written in them. */
import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { OperatorJobList } from "@/data/types";
import { moment } from "@/data/words";

const LOOK_MILLISECONDS = 15_000;

export function Failures() {
  const { data, error } = useResource<OperatorJobList>("/api/v1/admin/jobs?state=failed&limit=20", LOOK_MILLISECONDS);
  return (
    <section className="card stack">
      <h2>Failures</h2>
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      <div className="scroll" tabIndex={0} role="region" aria-label="Failures">
        <table>
          <thead><tr><th>When</th><th>Who</th><th>Model</th><th>Why</th><th className="num">Tries</th><th>Job</th></tr></thead>
          <tbody>
            {data?.data.map((job) => (
              <tr key={job.id}>
                <td className="soft">{moment(job.finished_at ?? job.created_at)}</td>
                <td>{job.user}</td>
                <td>{job.model}</td>
                <td><span className="chip bad">{job.error_code ?? "unknown"}</span></td>
                <td className="num">{job.attempt}</td>
                <td><code>{job.id}</code></td>
              </tr>
            ))}
            {data?.data.length === 0 && <tr><td colSpan={6} className="soft">Nothing has failed.</td></tr>}
          </tbody>
        </table>
      </div>
    </section>
  );
}

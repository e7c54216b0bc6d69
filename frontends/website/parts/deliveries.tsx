"use client";

/** What was sent to an endpoint and what it answered; any of it can be sent again. */
import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Delivery, DeliveryList } from "@/data/types";
import { ago, duration } from "@/data/words";

const LOOK_MILLISECONDS = 3_000;
const TONES: Record<Delivery["status"], string> = { delivered: "good", pending: "wait", dead: "bad" };

export function Deliveries({ webhook }: { webhook: string }) {
  const { data, error, reload } = useResource<DeliveryList>(`/api/v1/webhooks/${webhook}/deliveries?limit=50`, LOOK_MILLISECONDS);
  const { busy, act } = useAct();
  const again = (one: Delivery) =>
    act(async () => {
      await call("POST", `/api/v1/webhooks/${webhook}/deliveries/${one.id}/redeliver`);
      await reload();
    }, "It is sent again.");
  if (error) return <p className="notice bad" role="alert">{sentence(error)}</p>;
  if (data?.data.length === 0) return <p className="small soft">Nothing was sent yet.</p>;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Deliveries">
      <table>
        <thead><tr><th>When</th><th>What</th><th>State</th><th>Answer</th><th><span className="hidden">Again</span></th></tr></thead>
        <tbody>
          {data?.data.map((one) => (
            <tr key={one.id}>
              <td className="soft">{ago(one.created_at)}</td>
              <td>{one.type}</td>
              <td><span className={`chip ${TONES[one.status]}`}>{one.status}</span>{one.attempts > 1 && <span className="soft"> {one.attempts} tries</span>}</td>
              <td className="wrap">{one.last_status ?? one.last_error ?? "–"}{one.last_seconds !== null && <span className="soft"> in {duration(one.last_seconds)}</span>}{one.status !== "delivered" && one.last_excerpt && <><br /><span className="soft">{one.last_excerpt}</span></>}</td>
              <td><button type="button" className="button small" disabled={busy} onClick={() => void again(one)}>Send again</button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

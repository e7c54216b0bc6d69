"use client";

/** From where one is signed in. */
import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { SessionList } from "@/data/types";
import { ago } from "@/data/words";

export function Sessions() {
  const { data, error, reload } = useResource<SessionList>("/api/v1/sessions");
  const { reload: who, signOut } = useSession();
  const { busy, act } = useAct();
  const end = (id: string) =>
    act(async () => {
      await call("DELETE", `/api/v1/sessions/${id}`);
      await reload();
    }, "Signed out there.");
  const everywhere = () =>
    act(async () => {
      if (!confirm("Sign out in every browser, this one too?")) return;
      await call("DELETE", "/api/v1/sessions");
      await who();
    });
  return (
    <section className="card stack">
      <h2>Signed in</h2>
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      <ul className="list">
        {data?.data.map((one) => (
          <li key={one.id} className="row apart">
            <span className="grow">{one.device}{one.current && <> <span className="chip good">this one</span></>}<br /><span className="soft small">by {one.way}, seen {ago(one.last_used_at)}</span></span>
            <button type="button" className="button small" disabled={busy} onClick={() => void (one.current ? signOut() : end(one.id))}>Sign out</button>
          </li>
        ))}
      </ul>
      <div><button type="button" className="button danger" disabled={busy} onClick={() => void everywhere()}>Sign out everywhere</button></div>
    </section>
  );
}

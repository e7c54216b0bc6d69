"use client";

/** API keys: made, shown once, looked at, ended. */
import { useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Key, KeyList, KeyMade } from "@/data/types";
import { ago, count, moment } from "@/data/words";
import { Secret } from "@/parts/secret";

const SCOPES = [["read", "Look at jobs and results"], ["submit", "Order"], ["keys", "Make and end keys"]] as const;

export function Keys() {
  const { data, error, reload } = useResource<KeyList>("/api/v1/api-keys");
  const { busy, act } = useAct();
  const [made, setMade] = useState<KeyMade | null>(null);
  const end = (key: Key) =>
    act(async () => {
      if (!confirm(`End “${key.name}”? Programs that use it are refused from now on.`)) return;
      await call("DELETE", `/api/v1/api-keys/${key.id}`);
      await reload();
    });
  const rotate = (key: Key) =>
    act(async () => {
      setMade(await call<KeyMade>("POST", `/api/v1/api-keys/${key.id}/rotate`, {}));
      await reload();
    });
  return (
    <div className="stack loose">
      <p className="soft">For your own programs. <a href="/docs">How the API works</a>, with examples for every call.</p>
      {made && (
        <div className="notice good stack tight">
          <p><b>{made.name}</b>: copy this now, it is never shown again.</p>
          <Secret text={made.key} />
          <button type="button" className="button small" onClick={() => setMade(null)}>I have it</button>
        </div>
      )}
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      <section className="card">
        <h2>Your keys</h2>
        <ul className="list">
          {data?.data.map((key) => (
            <li key={key.id} className="row apart">
              <div className="grow">
                <b>{key.name}</b> {key.test && <span className="chip wait">test</span>} {key.scopes.map((scope) => <span key={scope} className="chip">{scope}</span>)}
                <p className="small soft">
                  <code>{key.id}</code> · {key.last_used_at ? `used ${ago(key.last_used_at)}` : "never used"}
                  {key.daily_cap !== null && ` · ${count(key.ordered_today ?? 0)} of ${count(key.daily_cap)} tokens today`}
                  {key.expires_at && ` · ends ${moment(key.expires_at)}`}
                </p>
              </div>
              <div className="row">
                <button type="button" className="button small" disabled={busy} onClick={() => void rotate(key)}>New secret</button>
                <button type="button" className="button small danger" disabled={busy} onClick={() => void end(key)}>End</button>
              </div>
            </li>
          ))}
          {data?.data.length === 0 && <li className="soft">None yet.</li>}
        </ul>
      </section>
      <NewKey busy={busy} make={(body) => act(async () => { setMade(await call<KeyMade>("POST", "/api/v1/api-keys", body)); await reload(); })} />
    </div>
  );
}

function NewKey({ busy, make }: { busy: boolean; make: (body: unknown) => Promise<boolean> }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["read", "submit"]);
  const [test, setTest] = useState(false);
  const [cap, setCap] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const done = await make({ name, scopes, test, ...(cap ? { daily_cap: Number(cap) } : {}) });
    if (done) setName("");
  };
  const turn = (scope: string) => setScopes((all) => (all.includes(scope) ? all.filter((one) => one !== scope) : [...all, scope]));
  return (
    <form className="card stack" onSubmit={(event) => void submit(event)}>
      <h2>A new key</h2>
      <div className="two">
        <div className="field">
          <label htmlFor="name">Name</label>
          <input id="name" className="input" required maxLength={64} placeholder="my program" value={name} onChange={(event) => setName(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="cap">Tokens a day, at most</label>
          <input id="cap" className="input" inputMode="numeric" pattern="[1-9][0-9]{0,8}" placeholder="as your account" value={cap} onChange={(event) => setCap(event.target.value)} />
        </div>
      </div>
      <fieldset className="choices field">
        <legend>It may</legend>
        {SCOPES.map(([scope, title]) => (
          <label key={scope} className="check"><input type="checkbox" checked={scopes.includes(scope)} onChange={() => turn(scope)} />{title}</label>
        ))}
      </fieldset>
      <label className="check"><input type="checkbox" checked={test} onChange={(event) => setTest(event.target.checked)} />A test key: its orders are drawn by a sandbox, for play tokens</label>
      <div><button className="button main" disabled={busy || scopes.length === 0}>Make the key</button></div>
    </form>
  );
}

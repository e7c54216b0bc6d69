"use client";

/** Webhooks: where other programs are told what becomes of jobs, and whether they heard it. */
import { useState, type FormEvent } from "react";

import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Webhook, WebhookList, WebhookSecret } from "@/data/types";
import { ago } from "@/data/words";
import { Deliveries } from "@/parts/deliveries";
import { Secret } from "@/parts/secret";

const EVENTS = [["job.started", "Begun"], ["job.succeeded", "Done"], ["job.failed", "Failed"], ["job.canceled", "Canceled"], ["job.expired", "Expired"]] as const;

export function Webhooks() {
  const { data, error, reload } = useResource<WebhookList>("/api/v1/webhooks");
  const { busy, act } = useAct();
  const [made, setMade] = useState<WebhookSecret | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const change = (what: () => Promise<unknown>, done?: string) => act(async () => { await what(); await reload(); }, done);
  const secret = (path: string, body?: unknown) => change(async () => setMade(await call<WebhookSecret>("POST", path, body)));
  return (
    <div className="stack loose">
      <p className="soft">Signed messages to your own programs, by the rules of Standard Webhooks. <a href="/docs#webhooks">How to check them</a></p>
      {made && (
        <div className="notice good stack tight">
          <p>The secret for <b>{made.webhook.url ?? "your orders’ own addresses"}</b>: copy it now, it is never shown again.</p>
          <Secret text={made.secret} />
          <button type="button" className="button small" onClick={() => setMade(null)}>I have it</button>
        </div>
      )}
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      <section className="card">
        <h2>Your endpoints</h2>
        <ul className="list">
          {data?.data.map((hook) => (
            <li key={hook.id} className="stack tight">
              <Endpoint hook={hook} busy={busy} open={open === hook.id} onOpen={() => setOpen(open === hook.id ? null : hook.id)} change={change} rotate={() => secret(`/api/v1/webhooks/${hook.id}/rotate-secret`)} />
              {open === hook.id && <Deliveries webhook={hook.id} />}
            </li>
          ))}
          {data?.data.length === 0 && <li className="soft">None yet.</li>}
        </ul>
      </section>
      <NewEndpoint busy={busy} make={(body) => secret("/api/v1/webhooks", body)} />
    </div>
  );
}

type Change = (what: () => Promise<unknown>, done?: string) => Promise<boolean>;

function Endpoint({ hook, busy, open, onOpen, change, rotate }: { hook: Webhook; busy: boolean; open: boolean; onOpen: () => void; change: Change; rotate: () => Promise<boolean> }) {
  const path = `/api/v1/webhooks/${hook.id}`;
  const off = hook.status === "disabled";
  const why = { owner: "You switched it off.", gone: "Its receiver answered that it is gone.", failing: "Nothing got through for five days." };
  return (
    <div className="row apart">
      <div className="grow">
        <b className="wrap">{hook.url ?? "Addresses given with orders"}</b> <span className={`chip ${off ? "bad" : "good"}`}>{off ? "off" : "on"}</span>
        <p className="small soft">
          {hook.events.join(", ")}{hook.description && ` · ${hook.description}`}
          {hook.disabled_reason && ` · ${why[hook.disabled_reason]}`}
          {hook.failing_since && !off && ` · failing since ${ago(hook.failing_since)}`}
        </p>
      </div>
      <div className="row">
        <button type="button" className="button small" aria-expanded={open} onClick={onOpen}>Log</button>
        {hook.url && <button type="button" className="button small" disabled={busy || off} onClick={() => void change(() => call("POST", `${path}/test`), "A test is on its way.")}>Test</button>}
        <button type="button" className="button small" disabled={busy} onClick={() => void change(() => call("PATCH", path, { disabled: !off }))}>Switch {off ? "on" : "off"}</button>
        <button type="button" className="button small" disabled={busy} onClick={() => void rotate()}>New secret</button>
        <button type="button" className="button small danger" disabled={busy} onClick={() => confirm("Delete this endpoint and its log?") && void change(() => call("DELETE", path))}>Delete</button>
      </div>
    </div>
  );
}

function NewEndpoint({ busy, make }: { busy: boolean; make: (body: unknown) => Promise<boolean> }) {
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState<string[]>(["job.succeeded", "job.failed", "job.canceled", "job.expired"]);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (await make({ url, events })) setUrl("");
  };
  const turn = (name: string) => setEvents((all) => (all.includes(name) ? all.filter((one) => one !== name) : [...all, name]));
  return (
    <form className="card stack" onSubmit={(event) => void submit(event)}>
      <h2>A new endpoint</h2>
      <div className="field">
        <label htmlFor="url">Address</label>
        <input id="url" className="input" type="url" required maxLength={1000} placeholder="https://app.example/tessera" value={url} onChange={(event) => setUrl(event.target.value)} />
      </div>
      <fieldset className="choices field">
        <legend>Tell it when a job is</legend>
        {EVENTS.map(([name, title]) => (
          <label key={name} className="check"><input type="checkbox" checked={events.includes(name)} onChange={() => turn(name)} />{title}</label>
        ))}
      </fieldset>
      <div><button className="button main" disabled={busy || events.length === 0}>Add it</button></div>
    </form>
  );
}

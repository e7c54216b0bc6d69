"use client";

/**
 * The first run, step by step. What is done is what the server sees, so the page can be left at any step and taken up
 * again by another browser; only which step is looked at is the page's own.
 */
import Link from "next/link";
import { useEffect, useState } from "react";

import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { SetupView } from "@/data/types";
import { AddressStep } from "@/parts/setup-address";
import { AccountStep, BackupStep, BotsStep } from "@/parts/setup-rest";
import { MachineStep } from "@/parts/setup-machine";

const LOOK_MILLISECONDS = 2_000;
type Name = SetupView["steps"][number]["name"];
export type StepProps = { setup: SetupView; reload: () => Promise<void> };

const STEPS: Record<Name, { title: string; Body: (props: StepProps) => React.ReactNode }> = {
  account: { title: "Your account", Body: AccountStep },
  address: { title: "Address", Body: AddressStep },
  machine: { title: "First GPU", Body: MachineStep },
  bots: { title: "Bots", Body: BotsStep },
  backup: { title: "Backup", Body: BackupStep },
};
const STATES = { done: "done", put_off: "later", open: "to do" } as const;

export function Setup() {
  const { session } = useSession();
  const may = session?.is_operator ?? false;
  const { data, error, reload, set } = useResource<SetupView>(may ? "/api/v1/admin/setup" : null, LOOK_MILLISECONDS);
  const [chosen, choose] = useState<Name | null>(null);
  const { busy, act } = useAct();
  const first = data?.steps.find((step) => step.state === "open")?.name;
  useEffect(() => {
    if (first) choose((was) => was ?? first); // and stay there: a step is not left because it has just been done
  }, [first]);
  if (session && !may) return <div className="empty"><h2>For operators only</h2><p>This page is for whoever runs this server.</p></div>;
  if (error && !data) return <p className="notice bad" role="alert">{sentence(error)}</p>;
  if (!data) return <div className="bone tall" />;
  const here = data.steps.find((step) => step.name === chosen) ?? data.steps[0];
  if (!here) return null;
  const name = here.name;
  const next = data.steps[data.steps.indexOf(here) + 1]?.name;
  const { Body, title } = STEPS[name];
  const change = (body: unknown) => act(async () => set(await call<SetupView>("POST", "/api/v1/admin/setup", body)));
  const later = async () => {
    if (await change({ put_off: name })) choose(next ?? name);
  };
  return (
    <div className="stack loose">
      <nav aria-label="Steps">
        <ol className="steps">
          {data.steps.map((step, n) => (
            <li key={step.name}>
              <button type="button" className={`step ${step.state}`} aria-current={step.name === name ? "step" : undefined} onClick={() => choose(step.name)}>
                <i aria-hidden="true">{step.state === "done" ? "✓" : n + 1}</i>
                <span>{STEPS[step.name].title}<small>{STATES[step.state]}</small></span>
              </button>
            </li>
          ))}
        </ol>
      </nav>
      <section className="card stack" aria-label={title}>
        <h2>{title}</h2>
        <Body setup={data} reload={reload} />
      </section>
      <div className="row apart">
        <Link className="button bare" href="/admin" prefetch={false}>Leave, and go on later</Link>
        <span className="row">
          {here.state === "open" && <button type="button" className="button" disabled={busy} onClick={() => void later()}>Put it off</button>}
          {here.state === "put_off" && <button type="button" className="button" disabled={busy} onClick={() => void change({ take_up: name })}>Take it up again</button>}
          {next && <button type="button" className="button main" onClick={() => choose(next)}>Next: {STEPS[next].title}</button>}
          {!next && !data.closed && <button type="button" className="button main" disabled={busy} onClick={() => void change({ closed: true })}>Finish</button>}
        </span>
      </div>
      {data.closed && <p className="notice good">The setup is finished. It stays here for you, and on the page Admin. <Link href="/create">Make something</Link></p>}
    </div>
  );
}

/** On the page Admin: how far it has come, and the way back. */
export function SetupCard() {
  const { data } = useResource<SetupView>("/api/v1/admin/setup");
  const done = data?.steps.filter((step) => step.state === "done").length;
  return (
    <section className="card row apart">
      <div>
        <h2>Setup</h2>
        <p className="small soft">{data ? `${done} of ${data.steps.length} steps are done${data.closed ? "; you have finished it." : "."}` : "…"}</p>
      </div>
      <Link className={`button${data?.closed === false ? " main" : ""}`} href="/setup" prefetch={false}>{data?.closed ? "Look at it again" : "Go on"}</Link>
    </section>
  );
}

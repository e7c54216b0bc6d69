"use client";

/** The first machine of one's own: the line to run there, a light that follows it, and its first picture. */
import { useCallback, useEffect, useRef, useState } from "react";

import { useAct } from "@/data/act";
import { call, sentence } from "@/data/api";
import { useLive } from "@/data/jobs";
import { useResource } from "@/data/resource";
import type { Enrolment, Job, SetupView } from "@/data/types";
import { clock } from "@/data/words";
import { Secret } from "@/parts/secret";
import type { StepProps } from "@/parts/setup";
import { said, Stage } from "@/parts/stage";

type Machine = SetupView["machine"];

export function MachineStep({ setup, reload }: StepProps) {
  const { machine } = setup;
  const { busy, act } = useAct();
  const [made, setMade] = useState<Enrolment | null>(null);
  const again = machine.light !== "off";
  const make = () =>
    act(async () => {
      setMade(await call<Enrolment>("POST", "/api/v1/admin/setup/machine", {}));
      await reload();
    });
  const waits = machine.light === "off" || machine.light === "waiting" || machine.light === "expired";
  return (
    <>
      <p>On the machine with the GPU, in Linux or WSL2, one line installs the agent and enrols it. The machine only calls out: nothing has to be opened there.</p>
      {made && machine.light === "waiting" && (
        <div className="notice good stack tight">
          <p>Run this there. It works once and is shown only now.</p>
          <Secret text={made.command} />
        </div>
      )}
      {waits && <div><button type="button" className={`button${again ? "" : " main"}`} disabled={busy} onClick={() => void make()}>{again ? "Make a new line" : "Make the line"}</button></div>}
      {again && <Lamp machine={machine} />}
      {(machine.light === "ready" || machine.light === "green") && <FirstPicture machine={machine} reload={reload} />}
      {machine.light === "green" && <div><button type="button" className="button small" disabled={busy} onClick={() => void make()}>Add another machine</button></div>}
    </>
  );
}

function Lamp({ machine }: { machine: Machine }) {
  const name = machine.name ?? "the machine";
  const words: Record<Machine["light"], string> = {
    off: "",
    waiting: `Waiting for the machine. The line is good until ${machine.expires_at ? clock(machine.expires_at) : "later"}.`,
    expired: "The line was not used in time, or its machine was revoked. Make a new one.",
    enrolled: machine.condition === "away" ? `${name} has enrolled and is not to be heard now. Does its agent run?` : `${name} has enrolled. Its engine starts and draws a first canary, which can take minutes with a large model.`,
    ready: `${name} is ready: its engine has drawn. Its first order is on the way.`,
    green: `${name} works. It serves ${machine.serves.join(", ")}.`,
  };
  return (
    <p className="lamp" role="status">
      <i className={machine.light} aria-hidden="true" />
      <span>{words[machine.light]}</span>
    </p>
  );
}

/** Ordered once by itself as soon as the machine can be given work; the server keeps two tabs from ordering two. */
function FirstPicture({ machine, reload }: { machine: Machine; reload: () => Promise<void> }) {
  const id = machine.picture_job_id;
  const { data: job, set } = useResource<Job>(id ? `/api/v1/jobs/${id}` : null);
  const [failed, setFailed] = useState("");
  const asked = useRef(false);
  const order = useCallback(async () => {
    try {
      setFailed("");
      await call<Job>("POST", "/api/v1/admin/setup/picture", {});
      await reload();
    } catch (problem) {
      setFailed(sentence(problem));
    }
  }, [reload]);
  useEffect(() => {
    if (id || asked.current) return;
    asked.current = true;
    void order();
  }, [id, order]);
  const put = useCallback((next: Job) => {
    set(next);
    if (next.status === "succeeded") void reload();
  }, [set, reload]);
  const live = useLive(job, put, true);
  const over = job && ["failed", "canceled", "expired"].includes(job.status);
  return (
    <div className="stack tight">
      {job && !over && <div className="job first"><Stage job={job} live={live} whole /></div>}
      {job && over && <p className="notice bad" role="alert">{said(job, live)}</p>}
      {failed && <p className="notice bad" role="alert">{failed}</p>}
      {(failed || over) && <div><button type="button" className="button" onClick={() => void order()}>Try another picture</button></div>}
      {machine.picture_by && <p className="small soft">Drawn by <b>{machine.picture_by}</b>, through the whole line: ordered, drawn, stored, shown.</p>}
    </div>
  );
}

"use client";

/** Admin: what waits, who works, what failed, who has what, and whether the books agree. */
import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { Service, WorkerList } from "@/data/types";
import { BooksGauge } from "@/parts/books";
import { Failures } from "@/parts/failures";
import { Machines } from "@/parts/machines";
import { People } from "@/parts/people";
import { Proposals } from "@/parts/proposals";
import { Queue } from "@/parts/queue";
import { SetupCard } from "@/parts/setup";

const LOOK_MILLISECONDS = 4_000;

export function Admin() {
  const { session } = useSession();
  const may = session?.is_operator ?? false;
  const status = useResource<Service>(may ? "/api/v1/admin/status" : null, LOOK_MILLISECONDS);
  const workers = useResource<WorkerList>(may ? "/api/v1/admin/workers" : null, LOOK_MILLISECONDS);
  if (session && !may) {
    return (
      <div className="empty">
        <h2>For operators only</h2>
        <p>This page is for whoever runs this server.</p>
      </div>
    );
  }
  const error = status.error ?? workers.error;
  return (
    <div className="stack loose">
      {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
      <SetupCard />
      <Queue service={status.data} reload={status.reload} />
      <Machines workers={workers.data} reload={workers.reload} />
      <div className="boxes">
        <People />
        <BooksGauge />
      </div>
      <Proposals />
      {may && <Failures />}
    </div>
  );
}

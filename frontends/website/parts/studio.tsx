"use client";

/** Create: the order on one side, what became of the last ones on the other. */
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useCallback, useEffect, useRef } from "react";

import { get, sentence } from "@/data/api";
import { taken, useDraft } from "@/data/draft";
import { isOver, useJobs } from "@/data/jobs";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { Account, Job } from "@/data/types";
import { useModels } from "@/parts/acts";
import { Composer } from "@/parts/composer";
import { JobCard } from "@/parts/jobcard";
import { useSay } from "@/parts/toasts";

const SHOWN = 9;

export function Studio() {
  const { session } = useSession();
  const [draft, change] = useDraft();
  const models = useModels();
  const account = useResource<Account>("/api/v1/user/me");
  const { jobs, error, put } = useJobs("", SHOWN);
  const from = useSearchParams().get("from");
  const router = useRouter();
  const say = useSay();

  useEffect(() => {
    if (!from || !models || !session?.signed_in) return;
    get<Job>(`/api/v1/jobs/${encodeURIComponent(from)}`).then(
      (job) => change(taken(job, models.data.find((model) => model.name === job.model && model.kind === job.kind))),
      (problem: unknown) => say(sentence(problem)),
    );
    router.replace("/create", { scroll: false });
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once for each job that is taken over
  }, [from, models, session?.signed_in]);

  const lane = useRef<HTMLElement>(null);
  const show = useCallback((job: Job) => {
    put(job);
    if (matchMedia("(max-width: 60rem)").matches) lane.current?.scrollIntoView({ behavior: "smooth" });
  }, [put]);
  const followed = jobs?.find((job) => job.status === "running")?.id ?? jobs?.findLast((job) => !isOver(job))?.id;
  const shown = jobs?.slice(0, SHOWN) ?? [];
  return (
    <div className="studio">
      <Composer draft={draft} change={change} models={models} account={account.data} onNew={show} />
      <section ref={lane} className="lane" aria-label="Your latest">
        {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
        {jobs && shown.length === 0 && (
          <div className="empty">
            <h2>Nothing made yet</h2>
            <p>Write what you see before you, and press “Make it”. The picture comes to life here.</p>
          </div>
        )}
        {shown.length > 0 && (
          <>
            <div className="row apart">
              <h2>Latest</h2>
              <Link href="/history" prefetch={false}>All of them</Link>
            </div>
            <div className="jobs">
              {shown.map((job) => <JobCard key={job.id} job={job} put={put} models={models} followed={job.id === followed} />)}
            </div>
          </>
        )}
      </section>
    </div>
  );
}

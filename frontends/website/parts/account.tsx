"use client";

/** Account: what one has, what became of it, who one is, and from where one is signed in. */
import Link from "next/link";

import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Account, Usage } from "@/data/types";
import { count, moment, tokens } from "@/data/words";
import { Buying } from "@/parts/buying";
import { Identities } from "@/parts/identities";
import { LedgerTable } from "@/parts/ledger";
import { Sessions } from "@/parts/sessions";
import { UsageChart } from "@/parts/usage";
import { YourData } from "@/parts/yourdata";

const DAYS = 30;

export function AccountPage() {
  const { data: account, error, reload } = useResource<Account>("/api/v1/user/me");
  const usage = useResource<Usage>(`/api/v1/user/usage?days=${DAYS}`);
  if (error && !account) return <p className="notice bad" role="alert">{sentence(error)}</p>;
  return (
    <div className="stack loose">
      <div className="boxes">
        <Plan account={account} />
        <Purses account={account} />
      </div>
      <section className="card">
        <div className="row apart">
          <h2>The last {DAYS} days</h2>
          <span className="soft small">{usage.data ? `${count(usage.data.jobs)} ${usage.data.jobs === 1 ? "order" : "orders"}, ${tokens(usage.data.tokens)}` : ""}</span>
        </div>
        <UsageChart days={usage.data?.data ?? null} length={DAYS} />
      </section>
      <Buying account={account} />
      <LedgerTable />
      <div className="boxes">
        <Identities account={account} reload={reload} />
        <Sessions />
      </div>
      <YourData account={account} />
    </div>
  );
}

function Plan({ account }: { account: Account | null }) {
  return (
    <section className="card stack tall">
      <h2>Plan</h2>
      <p className="number cap">{account?.plan ?? "–"}</p>
      <p className="soft small">
        {account && (account.paid_until ? `Paid until ${moment(account.paid_until)}. Three days after that it becomes free again.` : account.plan === "free" ? "It costs nothing and does not end." : "It does not end.")}
      </p>
      {account && (
        <p className="small soft">
          {account.limits.running_max} at once, {count(account.limits.queued_max)} in line; results are kept for {account.limits.retention_days} days. Now: {account.running} running, {account.queued} waiting.
        </p>
      )}
      <div className="row">
        <Link className="button" href="/pricing" prefetch={false}>Compare plans</Link>
      </div>
      <p className="small soft">To change it, see <a href="#more">what to do</a> further down.</p>
    </section>
  );
}

function Purses({ account }: { account: Account | null }) {
  const purse = account?.tokens;
  const share = purse && purse.daily_per_day > 0 ? purse.daily_left / purse.daily_per_day : 0;
  return (
    <section className="card stack tall">
      <h2>Tokens</h2>
      <div className="purses">
        <p><span className="number">{purse ? count(purse.daily_left) : "–"}</span><small className="soft">left of today’s {purse ? count(purse.daily_per_day) : ""}</small></p>
        <p><span className="number">{purse ? count(purse.purchased) : "–"}</span><small className="soft">bought or given</small></p>
        <p><span className="number">{purse ? count(purse.held) : "–"}</span><small className="soft">put aside for jobs</small></p>
      </div>
      <progress className="meter" value={share} max={1} aria-label="Left of today’s tokens" />
      <p className="small soft">
        {purse && `New ones come at ${new Date(purse.resets_at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}. Today’s are used first and do not add up; bought ones do not expire.`}
      </p>
      <p className="small">
        {purse && purse.purchased < 0 ? "A payment was taken back, so your balance is below zero. Nothing can be ordered until it is made up for." : <>More at once: <a href="#more">how to get them</a>.</>}
      </p>
    </section>
  );
}

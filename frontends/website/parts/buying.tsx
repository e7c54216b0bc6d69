"use client";

/** The ways to more: a plan, a pack by Telegram Stars, or paid outside; what to do for each, and what was paid so far. */
import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { Account, PackList, Payment, PaymentList, Plan, PlanList } from "@/data/types";
import { count, moment, money, tokens } from "@/data/words";

const STARS = "XTR";

export function Buying({ account }: { account: Account | null }) {
  const plans = useResource<PlanList>("/api/v1/plans").data?.data ?? [];
  const packs = useResource<PackList>("/api/v1/packs").data?.data ?? [];
  const onTelegram = !account || account.identities.some((one) => one.provider === "telegram");
  const name = account ? <><b className="wrap">{account.name}</b> (<code className="wrap">{account.id}</code>)</> : "–";
  return (
    <section className="stack" id="more">
      <h2>More tokens, or another plan</h2>
      <div className="plans">
        <article className="card stack tight">
          <h3>A plan</h3>
          <p className="small soft">Fresh tokens every day, a larger share of the line, larger results.</p>
          <ul className="list">{plans.map((plan) => <PlanLine key={plan.name} plan={plan} mine={plan.name === account?.plan} />)}</ul>
          <p className="small"><b>What to do:</b> ask whoever runs this server, who puts your account on it. Name it: {name}.</p>
        </article>
        {packs.length > 0 && (
          <article className="card stack tight">
            <h3>A pack, by Telegram Stars</h3>
            <p className="small soft">At once, and without an end. Used only when today’s tokens are gone.</p>
            <ul className="list">{packs.map((pack) => <li key={pack.name} className="row apart"><span>{tokens(pack.tokens)}</span><span className="soft">{count(pack.stars)} Stars</span></li>)}</ul>
            <p className="small"><b>What to do:</b> {onTelegram ? <>send <code>/buy</code> to our bot on Telegram and choose one. The tokens are here a moment later.</> : <>first link Telegram to this account, <a href="#linked">further down</a>, or the tokens go to another one. Then send <code>/buy</code> to our bot there.</>}</p>
          </article>
        )}
        {packs.length > 0 && (
          <article className="card stack tight">
            <h3>A pack, paid outside</h3>
            <p className="small soft">By whatever you agree on with whoever runs this server.</p>
            <ul className="list">{packs.map((pack) => <li key={pack.name} className="row apart"><span>{tokens(pack.tokens)}</span><span className="soft">{money(pack.price_cents, pack.currency)}</span></li>)}</ul>
            <p className="small"><b>What to do:</b> pay them and name your account: {name}. They add the tokens by hand; you find them under “Where tokens went”.</p>
          </article>
        )}
      </div>
      <Paid />
    </section>
  );
}

function PlanLine({ plan, mine }: { plan: Plan; mine: boolean }) {
  return (
    <li className="row apart">
      <span><span className="cap">{plan.name}</span>{mine && <> <span className="chip good">yours</span></>}<br /><span className="small soft">{tokens(plan.tokens_per_day)} a day</span></span>
      <span className="soft">{plan.price_cents ? `${money(plan.price_cents, plan.currency)} a month` : "costs nothing"}</span>
    </li>
  );
}

function Paid() {
  const { data, error } = useResource<PaymentList>("/api/v1/payments");
  if (error) return <p className="notice bad" role="alert">{sentence(error)}</p>;
  return (
    <article className="card stack tight">
      <h3>What you have paid</h3>
      <ul className="list" aria-label="Payments">
        {data?.data.map((paid) => (
          <li key={paid.id} className="row apart">
            <span>{price(paid)} for {tokens(paid.tokens)} <span className="soft small">{paid.pack}{paid.provider === "telegram_stars" ? ", by Telegram Stars" : `, by ${paid.provider}`}</span><br /><span className="small soft">{moment(paid.created_at)}</span></span>
            {paid.state === "credited" ? <span className="chip good">yours</span> : <span className="chip">given back{paid.refunded_at && ` ${moment(paid.refunded_at)}`}</span>}
          </li>
        ))}
        {data?.data.length === 0 && <li className="soft small">Nothing was bought with this account. What was given to it stands in the list of tokens.</li>}
      </ul>
    </article>
  );
}

const price = (paid: Payment) => (paid.currency === STARS ? `${count(paid.amount)} Stars` : money(paid.amount, paid.currency));

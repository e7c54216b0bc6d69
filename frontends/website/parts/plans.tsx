"use client";

/** Plans and packs as the operator has set them. */
import Link from "next/link";

import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import type { ModelList, PackList, Plan, PlanList } from "@/data/types";
import { count, money, tokens } from "@/data/words";

export function Plans() {
  const plans = useResource<PlanList>("/api/v1/plans");
  const packs = useResource<PackList>("/api/v1/packs");
  const models = useResource<ModelList>("/api/v1/models");
  const ready = [plans, packs, models].every((one) => one.data !== null || one.error !== null); // then all at once
  const image = models.data?.data.find((model) => model.kind === "image");
  return (
    <div className="stack loose">
      {plans.error !== null && <p className="notice bad" role="alert">{sentence(plans.error)}</p>}
      <div className="plans">
        {ready && plans.data?.data.map((plan) => <Card key={plan.name} plan={plan} pictures={image ? Math.floor(plan.tokens_per_day / image.example_cost) : 0} />)}
      </div>
      {ready && packs.data && packs.data.data.length > 0 && (
        <section className="stack">
          <h2>More tokens, when a day is not enough</h2>
          <p className="soft">They do not expire, and are only used once today’s are gone. Buy them with Telegram Stars in our bot (/buy), or ask whoever runs this server.</p>
          <div className="plans packs">
            {packs.data.data.map((pack) => (
              <div className="card row apart" key={pack.name}>
                <span><b>{tokens(pack.tokens)}</b></span>
                <span className="soft">{pack.stars} Stars · {money(pack.price_cents, pack.currency)}</span>
              </div>
            ))}
          </div>
        </section>
      )}
    </div>
  );
}

function Card({ plan, pictures }: { plan: Plan; pictures: number }) {
  return (
    <article className={`card plan${plan.name === "starter" ? " best" : ""}`}>
      <h2>{plan.name}</h2>
      <p>
        <span className="number">{money(plan.price_cents, plan.currency)}</span>
        <span className="soft"> {plan.price_cents ? "a month" : "for ever"}</span>
      </p>
      <ul>
        <li>{tokens(plan.tokens_per_day)} every day{pictures > 0 ? `: about ${count(pictures)} pictures` : ""}</li>
        <li>{plan.running_max} at once, {count(plan.queued_max)} in line</li>
        <li>Pictures up to {(plan.pixels_max / 1e6).toFixed(1)} megapixels</li>
        <li>{plan.video_seconds_max > 0 ? `Films of up to ${plan.video_seconds_max} s` : "No films"}</li>
        <li>Results are kept for {plan.retention_days} days</li>
      </ul>
      <Link className={`button wide${plan.name === "starter" ? " main" : ""}`} href={plan.price_cents ? "/account#more" : "/create"}>
        {plan.price_cents ? `Get ${plan.name}` : "Start"}
      </Link>
    </article>
  );
}

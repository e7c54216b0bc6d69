"use client";

/** What it costs and how long it takes, beside the button; and when it cannot be ordered, why and what to do. */
import Link from "next/link";

import type { Asked } from "@/data/quote";
import { count, duration } from "@/data/words";

export function Price({ asked, ready, sending }: { asked: Asked; ready: boolean; sending: boolean }) {
  const { quote, trouble } = asked;
  const short = quote?.refusal?.code === "tokens-short";
  return (
    <div className="bar stack tight">
      {trouble && (
        <div className="notice" role="alert">
          <p>{trouble}</p>
          {short && <Link href="/account#more" prefetch={false}>How to get more tokens</Link>}
        </div>
      )}
      <div className="quote" aria-live="polite" aria-busy={asked.pending}>
        <p><span className="number">{quote ? count(quote.cost) : "–"}</span><small>{quote?.cost === 1 ? "token" : "tokens"}{quote ? ` of ${count(quote.available)}` : ""}</small></p>
        <p><small>{quote ? when(quote) : "The price follows your words."}</small></p>
        <button className="button main" disabled={!ready} aria-busy={sending}>{sending ? "Sending…" : "Make it"}</button>
      </div>
    </div>
  );
}

function when(quote: NonNullable<Asked["quote"]>): string {
  if (!quote.feasible_now) return "No machine offers this now; it waits for one.";
  if (!quote.eta) return "How long it takes is not known yet.";
  const { p50_seconds: half, p90_seconds: most } = quote.eta;
  return duration(half) === duration(most) ? `About ${duration(half)}` : `About ${duration(half)}, rarely over ${duration(most)}`;
}

"use client";

/** The price and time of an order while it is being written: asked a moment after the last change, the last one wins. */
import { useEffect, useState } from "react";

import { call, Problem, sentence } from "@/data/api";
import { tell } from "@/data/resource";
import type { Order, Quote } from "@/data/types";

const PAUSE_MILLISECONDS = 220;
const ANY_PROMPT = "a picture";

export type Asked = { quote: Quote | null; trouble: string | null; pending: boolean };

export function useQuote(order: Order | null): Asked {
  const [asked, setAsked] = useState<Asked>({ quote: null, trouble: null, pending: false });
  const body = order ? JSON.stringify({ ...order, prompt: order.prompt || ANY_PROMPT }) : null;
  useEffect(() => {
    if (body === null) return;
    const control = new AbortController();
    setAsked((was) => ({ ...was, pending: true }));
    const timer = setTimeout(() => {
      call<Quote>("POST", "/api/v1/jobs?dry_run=1", JSON.parse(body), { signal: control.signal }).then(
        (quote) => setAsked({ quote, trouble: quote.refusal?.detail ?? null, pending: false }),
        (problem: unknown) => {
          if (control.signal.aborted) return;
          tell(problem);
          const known = problem instanceof Problem ? faults(problem) : null;
          setAsked((was) => ({ quote: was.quote, trouble: known ?? sentence(problem), pending: false }));
        },
      );
    }, PAUSE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [body]);
  return asked;
}

/** What is wrong with which field, as the server says it. */
function faults(problem: Problem): string | null {
  const errors = problem.body.errors as { pointer?: string; detail?: string }[] | undefined;
  if (!errors?.length) return null;
  return errors.map((one) => `${(one.pointer ?? "").replace(/^[#/]+/, "")}: ${one.detail ?? ""}`).join(" ");
}

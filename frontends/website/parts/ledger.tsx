"use client";

/** Every token that moved, in words. */
import Link from "next/link";
import { useCallback, useEffect, useState } from "react";

import { get, sentence } from "@/data/api";
import { useSession } from "@/data/session";
import type { Ledger, LedgerLine } from "@/data/types";
import { count, moment } from "@/data/words";

const PAGE = 10;

export function LedgerTable() {
  const [lines, setLines] = useState<LedgerLine[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const load = useCallback(async (from: string | null) => {
    try {
      const page = await get<Ledger>(`/api/v1/user/ledger?limit=${PAGE}${from ? `&cursor=${from}` : ""}`);
      setLines((all) => [...(from && all ? all : []), ...page.data]);
      setCursor(page.next_cursor);
    } catch (problem) {
      setError(sentence(problem));
    }
  }, []);
  const known = useSession().session?.signed_in ?? false;
  useEffect(() => {
    if (known) void load(null);
  }, [load, known]);
  return (
    <section className="card stack">
      <h2>Where tokens went</h2>
      {error && <p className="notice bad" role="alert">{error}</p>}
      <div className="scroll lines" tabIndex={0} role="region" aria-label="Ledger">
        <table>
          <thead><tr><th>When</th><th>What</th><th className="num">Tokens</th><th className="num aside">Bought left</th></tr></thead>
          <tbody>
            {lines?.map((line) => (
              <tr key={line.id}>
                <td className="soft">{moment(line.at)}</td>
                <td>{line.job_id ? <Link href={`/job?id=${line.job_id}`} prefetch={false}>{plain(line)}</Link> : line.words}</td>
                <td className="num">{line.kind === "charge" ? <span className="soft">({count(-line.amount)})</span> : `${line.amount > 0 ? "+" : ""}${count(line.amount)}`}</td>
                <td className="num aside">{count(line.purchased)}</td>
              </tr>
            ))}
            {lines?.length === 0 && <tr><td colSpan={4} className="soft">Nothing has moved yet.</td></tr>}
          </tbody>
        </table>
      </div>
      <p className="small soft">In brackets: taken out of what had been put aside before.</p>
      {cursor && <div><button type="button" className="button small" onClick={() => void load(cursor)}>Older ones</button></div>}
    </section>
  );
}

/** The sentence without the long name of the job, to which it leads anyway. */
const plain = (line: LedgerLine) => line.words.replace(/ job [0-9a-f-]{36}/, " a job");

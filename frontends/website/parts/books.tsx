"use client";

/** The ledger gauge: whether every token is accounted for. It reads all the books, so it is asked for by hand. */
import { useState } from "react";

import { useAct } from "@/data/act";
import { get } from "@/data/api";
import type { Books } from "@/data/types";

export function BooksGauge() {
  const { busy, act } = useAct();
  const [books, setBooks] = useState<Books | null>(null);
  const sound = books?.violations.length === 0;
  return (
    <section className="card stack">
      <h2>Books</h2>
      <p className="number">{books === null ? "–" : sound ? "They agree" : String(books.violations.length)}</p>
      <p className="small soft">{books === null ? "Ledger, balances and jobs are compared, token by token." : sound ? "No token was lost and none was made." : "Ways in which ledger, balances and jobs disagree:"}</p>
      {books && !sound && <ul className="list small">{books.violations.slice(0, 50).map((one) => <li key={one}>{one}</li>)}</ul>}
      <div><button type="button" className="button" disabled={busy} onClick={() => void act(async () => setBooks(await get<Books>("/api/v1/admin/books")))}>{busy ? "Reading…" : "Check the books"}</button></div>
    </section>
  );
}

"use client";

/** What is around pages for everybody. */
import Link from "next/link";
import type { ReactNode } from "react";

import { useSession } from "@/data/session";
import { Mark } from "@/parts/mark";

export function Front({ children }: { children: ReactNode }) {
  const { session } = useSession();
  return (
    <div className="front">
      <header className="top">
        <Mark />
        <nav aria-label="Pages">
          <Link className="button bare" href="/pricing">
            Pricing
          </Link>
          <Link className="button" href={session?.signed_in ? "/create" : "/signin"}>
            {session?.signed_in ? "Create" : "Sign in"}
          </Link>
        </nav>
      </header>
      <main id="main">{children}</main>
      <footer>
        <a href="/docs">API</a>
        <Link href="/pricing">Pricing</Link>
        <a href="/healthz">Status</a>
      </footer>
    </div>
  );
}

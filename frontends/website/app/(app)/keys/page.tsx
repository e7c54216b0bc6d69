import type { Metadata } from "next";

import { Keys } from "@/parts/keys";

export const metadata: Metadata = { title: "API keys" };

export default function Page() {
  return (
    <main id="main" className="page">
      <header>
        <h1>API keys</h1>
      </header>
      <Keys />
    </main>
  );
}

import type { Metadata } from "next";

import { Setup } from "@/parts/setup";

export const metadata: Metadata = { title: "Setup" };

export default function Page() {
  return (
    <main id="main" className="page narrow">
      <header>
        <h1>Setup</h1>
      </header>
      <Setup />
    </main>
  );
}

import type { Metadata } from "next";

import { Webhooks } from "@/parts/webhooks";

export const metadata: Metadata = { title: "Webhooks" };

export default function Page() {
  return (
    <main id="main" className="page">
      <header>
        <h1>Webhooks</h1>
      </header>
      <Webhooks />
    </main>
  );
}

import type { Metadata } from "next";
import { Suspense } from "react";

import { Studio } from "@/parts/studio";

export const metadata: Metadata = { title: "Create" };

export default function Page() {
  return (
    <main id="main" className="page">
      <header>
        <h1>Create</h1>
      </header>
      <Suspense>
        <Studio />
      </Suspense>
    </main>
  );
}

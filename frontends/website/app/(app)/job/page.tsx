import type { Metadata } from "next";
import { Suspense } from "react";

import { JobPage } from "@/parts/jobpage";

export const metadata: Metadata = { title: "Job", robots: { index: false } };

export default function Page() {
  return (
    <main id="main" className="page">
      <Suspense>
        <JobPage />
      </Suspense>
    </main>
  );
}

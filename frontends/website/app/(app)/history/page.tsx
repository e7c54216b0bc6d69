import type { Metadata } from "next";

import { Shelf } from "@/parts/shelf";

export const metadata: Metadata = { title: "History" };

export default function Page() {
  return (
    <main id="main" className="page">
      <Shelf />
    </main>
  );
}

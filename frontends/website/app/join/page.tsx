import type { Metadata } from "next";

import { Join } from "@/parts/join";
import { Mark } from "@/parts/mark";

export const metadata: Metadata = { title: "You are invited", robots: { index: false } };

export default function Page() {
  return (
    <>
      <header className="top">
        <Mark />
      </header>
      <Join />
    </>
  );
}

import type { Metadata } from "next";

import { Front } from "@/parts/front";
import { Shared } from "@/parts/shared";

export const metadata: Metadata = { title: "Shared with you", robots: { index: false, follow: false } };

export default function Page() {
  return (
    <Front>
      <Shared />
    </Front>
  );
}

import type { Metadata } from "next";

import { Front } from "@/parts/front";
import { Plans } from "@/parts/plans";

export const metadata: Metadata = { title: "Pricing" };

export default function Pricing() {
  return (
    <Front>
      <div className="title">
        <h1>Pricing</h1>
        <p>Every day brings fresh tokens. They pay for pictures and films by size and steps, and you see the price before you order.</p>
      </div>
      <Plans />
    </Front>
  );
}

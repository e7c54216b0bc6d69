import type { Metadata } from "next";

import { Admin } from "@/parts/admin";

export const metadata: Metadata = { title: "Admin" };

export default function Page() {
  return (
    <main id="main" className="page">
      <header>
        <h1>Admin</h1>
      </header>
      <Admin />
    </main>
  );
}

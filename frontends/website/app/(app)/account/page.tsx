import type { Metadata } from "next";

import { AccountPage } from "@/parts/account";

export const metadata: Metadata = { title: "Account" };

export default function Page() {
  return (
    <main id="main" className="page">
      <header>
        <h1>Account</h1>
      </header>
      <AccountPage />
    </main>
  );
}

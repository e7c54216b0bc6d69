import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";

import { SessionProvider } from "@/data/session";
import { Toasts } from "@/parts/toasts";

import "@/styles/tokens.css";
import "@/styles/base.css";
import "@/styles/parts.css";
import "@/styles/frame.css";
import "@/styles/front.css";
import "@/styles/work.css";

export const metadata: Metadata = {
  title: { default: "Tessera", template: "%s · Tessera" },
  description: "Pictures and videos from words, made on our own machines.",
  icons: { icon: "/icon.svg" },
};

export const viewport: Viewport = {
  width: "device-width",
  initialScale: 1,
  viewportFit: "cover",
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f7f4ee" },
    { media: "(prefers-color-scheme: dark)", color: "#131312" },
  ],
};

export default function Root({ children }: { children: ReactNode }) {
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        {/* eslint-disable-next-line @next/next/no-sync-scripts -- a theme that comes later would flash */}
        <script src="/theme.js" />
      </head>
      <body>
        <a className="skip" href="#main">
          Skip to the content
        </a>
        <SessionProvider>
          <Toasts>{children}</Toasts>
        </SessionProvider>
      </body>
    </html>
  );
}

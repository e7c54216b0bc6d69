import type { ReactNode } from "react";

import { Frame } from "@/parts/frame";

export default function SignedIn({ children }: { children: ReactNode }) {
  return <Frame>{children}</Frame>;
}

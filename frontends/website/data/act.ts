"use client";

/** Does something and says how it went, one thing at a time. */
import { useCallback, useState } from "react";

import { sentence } from "@/data/api";
import { tell } from "@/data/resource";
import { useSay } from "@/parts/toasts";

export function useAct(): { busy: boolean; act: (what: () => Promise<unknown>, done?: string) => Promise<boolean> } {
  const say = useSay();
  const [busy, setBusy] = useState(false);
  const act = useCallback(
    async (what: () => Promise<unknown>, done?: string) => {
      setBusy(true);
      try {
        await what();
        if (done) say(done);
        return true;
      } catch (problem) {
        tell(problem);
        say(sentence(problem));
        return false;
      } finally {
        setBusy(false);
      }
    },
    [say],
  );
  return { busy, act };
}

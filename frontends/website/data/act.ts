"use client";

/** Does something and says how it went, one thing at a time. */
import { useCallback, useRef, useState } from "react";

import { sentence } from "@/data/api";
import { tell } from "@/data/resource";
import { useSay } from "@/parts/toasts";

/** `wrong` is what the last thing failed with, for a dialog, which lies above everything else that is said. */
export function useAct(): { busy: boolean; wrong: string | null; act: (what: () => Promise<unknown>, done?: string) => Promise<boolean> } {
  const say = useSay();
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<string | null>(null);
  const begun = useRef(false); // known at once; a second press may come before the button is shown as disabled
  const act = useCallback(
    async (what: () => Promise<unknown>, done?: string) => {
      if (begun.current) return false;
      begun.current = true;
      setBusy(true);
      setWrong(null);
      try {
        await what();
        if (done) say(done);
        return true;
      } catch (problem) {
        tell(problem);
        setWrong(sentence(problem));
        say(sentence(problem));
        return false;
      } finally {
        begun.current = false;
        setBusy(false);
      }
    },
    [say],
  );
  return { busy, wrong, act };
}

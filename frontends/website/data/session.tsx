"use client";

/** Who is signed in. Asked once for a page load and again when somebody is refused for want of a session. */
import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from "react";

import { call, get, Problem } from "@/data/api";
import type { SessionView } from "@/data/types";

const NOBODY: SessionView = { signed_in: false, user: null, is_operator: false, providers: [], refusal: null, newcomer: null, session_id: null, expires_at: null };

type Held = { session: SessionView | null; reload: () => Promise<void>; signOut: () => Promise<void>; error: unknown };

const Context = createContext<Held>({ session: null, reload: async () => {}, signOut: async () => {}, error: null });

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<SessionView | null>(null);
  const [error, setError] = useState<unknown>(null);
  const reload = useCallback(async () => {
    try {
      setSession(await get<SessionView>("/api/v1/session"));
      setError(null);
    } catch (problem) {
      if (problem instanceof Problem && problem.status > 0 && problem.status < 500) setSession(NOBODY);
      else setError(problem);
    }
  }, []);
  const signOut = useCallback(async () => {
    await call("POST", "/auth/signout");
    location.assign("/");
  }, []);
  useEffect(() => {
    void reload();
    const expired = () => void reload();
    addEventListener("tessera:unauthorized", expired);
    addEventListener("online", expired);
    return () => {
      removeEventListener("tessera:unauthorized", expired);
      removeEventListener("online", expired);
    };
  }, [reload]);
  return <Context value={{ session, reload, signOut, error }}>{children}</Context>;
}

export const useSession = () => useContext(Context);

"use client";

/** Who is signed in. Asked once for a page load and again when somebody is refused for want of a session. */
import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from "react";

import { call, get, Problem } from "@/data/api";

export type Provider = { id: string; title: string; url: string };
export type Session = {
  signed_in: boolean;
  user: { id: string; name: string; plan: string } | null;
  is_operator: boolean;
  providers: Provider[];
};

const NOBODY: Session = { signed_in: false, user: null, is_operator: false, providers: [] };

type Held = { session: Session | null; reload: () => Promise<void>; signOut: () => Promise<void>; error: unknown };

const Context = createContext<Held>({ session: null, reload: async () => {}, signOut: async () => {}, error: null });

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<unknown>(null);
  const reload = useCallback(async () => {
    try {
      setSession(await get<Session>("/api/v1/session"));
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

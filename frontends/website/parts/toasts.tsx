"use client";

/** Short words at the bottom of the page that say what has just happened; read aloud, too. */
import { createContext, useCallback, useContext, useState, type ReactNode } from "react";

const SHOWN_MILLISECONDS = 4_000;
const Context = createContext<(words: string) => void>(() => {});

export function Toasts({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<{ id: number; words: string }[]>([]);
  const say = useCallback((words: string) => {
    const id = Math.random();
    setShown((all) => [...all.slice(-2), { id, words }]);
    setTimeout(() => setShown((all) => all.filter((one) => one.id !== id)), SHOWN_MILLISECONDS);
  }, []);
  return (
    <Context value={say}>
      {children}
      <div className="toasts" role="status">
        {shown.map((one) => (
          <p className="toast" key={one.id}>{one.words}</p>
        ))}
      </div>
    </Context>
  );
}

export const useSay = () => useContext(Context);

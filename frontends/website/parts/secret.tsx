"use client";

/** Something to be copied now. */
import { useAct } from "@/data/act";
import { copy } from "@/data/hands";

export function Secret({ text }: { text: string }) {
  const { act } = useAct();
  return (
    <div className="secret">
      <code>{text}</code>
      <button type="button" className="button small" onClick={() => void act(() => copy(text), "Copied.")}>Copy</button>
    </div>
  );
}

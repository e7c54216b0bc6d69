"use client";

/** What somebody shows by a link. Its secret stands behind the #, which a browser never sends to anybody by itself. */
import Link from "next/link";
import { useEffect, useState, type CSSProperties } from "react";

import { get, local, sentence } from "@/data/api";
import type { Shared as What } from "@/data/types";

export function Shared() {
  const [shown, setShown] = useState<What | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const look = () => {
      setError(null);
      get<What>(`/api/v1/shared/${encodeURIComponent(location.hash.slice(1) || "none")}`).then(setShown, (problem: unknown) => setError(sentence(problem)));
    };
    look();
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  if (error !== null) {
    return (
      <div className="title">
        <h1>Nothing to see</h1>
        <p>{error} Whoever sent it may have taken it back.</p>
      </div>
    );
  }
  return (
    <div className="stack loose shared">
      <div className="sheets">
        {shown?.artifacts.map((artifact) => (
          <div className="stage" key={artifact.index} style={{ "--w": shown.width, "--h": shown.height } as CSSProperties}>
            {artifact.mime_type.startsWith("video/") ? <video src={local(artifact.url)} width={artifact.width} height={artifact.height} controls loop muted playsInline aria-label={shown.prompt || "Film"} /> : <img src={local(artifact.url)} width={artifact.width} height={artifact.height} alt={shown.prompt || "Picture"} />}
          </div>
        ))}
      </div>
      <h1 className="words" dir="auto">{shown?.prompt ?? ""}</h1>
      {shown && <p className="small soft">Made by AI with {shown.model}. <Link href="/">Make your own</Link></p>}
    </div>
  );
}

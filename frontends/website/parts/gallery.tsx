"use client";

/** What people show to everybody: rows of pictures in their own shapes, so that nothing moves when they arrive. */
import { useRef, useState, type CSSProperties } from "react";

import { useAct } from "@/data/act";
import { get, local } from "@/data/api";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { Gallery as Page, Piece } from "@/data/types";
import { Flag } from "@/parts/icons";
import { Report } from "@/parts/report";

const FIRST = "/api/v1/gallery?limit=12";

export function Gallery() {
  const { data } = useResource<Page>(FIRST);
  const [rest, setRest] = useState<Page[]>([]);
  const [open, setOpen] = useState<Piece | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const { busy, act } = useAct();
  if (!data?.data.length) return null;
  const last = rest.at(-1) ?? data;
  const next = () => act(async () => setRest([...rest, await get<Page>(`${FIRST}&cursor=${last.next_cursor}`)]));
  const show = (piece: Piece) => {
    setOpen(piece);
    dialog.current?.showModal();
  };
  return (
    <section className="shown" aria-labelledby="gallery">
      <h2 id="gallery">Made here, shown by whoever made it</h2>
      <ul className="gallery">
        {[data, ...rest].flatMap((page) => page.data).map((piece) => <Tile key={piece.id} piece={piece} show={show} />)}
      </ul>
      {last.has_more && <button type="button" className="button" disabled={busy} onClick={() => void next()}>Show more</button>}
      <dialog ref={dialog} className="light" aria-label="A picture from the gallery" onClose={() => setOpen(null)}>
        {open && <Whole piece={open} close={() => dialog.current?.close()} />}
      </dialog>
    </section>
  );
}

function Tile({ piece, show }: { piece: Piece; show: (piece: Piece) => void }) {
  const still = piece.thumbnail_url ?? (piece.kind === "image" ? piece.url : null);
  return (
    <li style={shape(piece)}>
      <button type="button" aria-label={still ? undefined : name(piece)} onClick={() => show(piece)}>
        {still && <img src={local(still)} alt={name(piece)} width={piece.width} height={piece.height} loading="lazy" decoding="async" />}
        {piece.kind === "video" && <span className="chip">Film</span>}
      </button>
    </li>
  );
}

function Whole({ piece, close }: { piece: Piece; close: () => void }) {
  const { session } = useSession();
  const report = useRef<HTMLDialogElement>(null);
  const size = { width: piece.width, height: piece.height };
  return (
    <div className="stack">
      <div className="plate">
        {piece.kind === "video"
          ? <video src={local(piece.url)} {...size} aria-label={name(piece)} controls loop muted playsInline />
          : <img src={local(piece.url)} {...size} alt={name(piece)} decoding="async" />}
      </div>
      {piece.prompt && <p className="words" dir="auto">{piece.prompt}</p>}
      <div className="row apart">
        <span className="small soft">Made by AI · {piece.model}</span>
        <span className="row">
          {session?.signed_in && <button type="button" className="button small bare" onClick={() => report.current?.showModal()}><Flag /> Report</button>}
          <button type="button" className="button small" onClick={close}>Close</button>
        </span>
      </div>
      <Report dialog={report} job={{ id: piece.job_id }} index={piece.index} />
    </div>
  );
}

const name = (piece: Piece) => piece.prompt ?? (piece.kind === "video" ? "A film" : "A picture");

/** How wide it is for its height, within reason. */
const shape = (piece: Piece) => ({ "--r": Math.min(2.2, Math.max(0.6, piece.width / piece.height)).toFixed(3) }) as CSSProperties;

import Link from "next/link";

import { Front } from "@/parts/front";

export default function NotFound() {
  return (
    <Front>
      <div className="title">
        <h1>This tile is missing</h1>
        <p>There is no page at this address. It may have moved, or the link lost a piece on its way.</p>
        <div>
          <Link className="button main" href="/">
            To the start
          </Link>
        </div>
      </div>
    </Front>
  );
}

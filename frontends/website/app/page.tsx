import Link from "next/link";

import { Front } from "@/parts/front";
import { Gallery } from "@/parts/gallery";
import { Mosaic } from "@/parts/mosaic";

export default function Landing() {
  return (
    <Front>
      <section className="hero">
        <div>
          <h1>
            Say what you see. <em>Watch it being laid.</em>
          </h1>
          <p>Pictures and short films from words, drawn on our own machines. You see the price before you order, your place while you wait, and the picture while it comes.</p>
          <div className="row">
            <Link className="button main" href="/create">
              Make a picture
            </Link>
            <Link className="button" href="/pricing">
              See the prices
            </Link>
          </div>
        </div>
        <Mosaic />
      </section>
      <Gallery />
      <section className="ways">
        <div>
          <h2>Fair to everybody</h2>
          <p>One line for all, and nobody is stuck behind somebody’s ten thousand orders. What fails costs nothing.</p>
        </div>
        <div>
          <h2>Where you already are</h2>
          <p>Telegram, Discord, this site, the API: one account, one history and one balance behind all of them.</p>
        </div>
        <div>
          <h2>Made to be repeated</h2>
          <p>Every result keeps its seed and settings. Order it again, change one word, or make it larger.</p>
        </div>
        <div>
          <h2>Open to your programs</h2>
          <p>
            A plain HTTP API with events and signed webhooks. <a href="/docs">Read how it works.</a>
          </p>
        </div>
      </section>
    </Front>
  );
}

/** Tokens by day: daily ones below, bought ones on top. Read aloud as a table. */
import type { UsageDay } from "@/data/types";
import { count } from "@/data/words";

const WIDTH = 720;
const HEIGHT = 150;
const FOOT = 18;
const DAY = 86_400_000;

/** `days`: null until they are known. Then nothing may stand here that depends on the day: a page is built on one and read on another. */
export function UsageChart({ days: known, length }: { days: UsageDay[] | null; length: number }) {
  const days = known ?? [];
  const by = new Map(days.map((day) => [day.day, day]));
  const all = Array.from({ length }, (_, n) => (known ? new Date(Date.now() - (length - 1 - n) * DAY).toISOString().slice(0, 10) : ""));
  const most = Math.max(1, ...days.map((day) => day.daily + day.purchased));
  const wide = WIDTH / length;
  const tall = (value: number) => (value / most) * (HEIGHT - FOOT - 14);
  return (
    <>
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {all.map((name, n) => {
          const { daily = 0, purchased = 0 } = by.get(name) ?? {};
          const x = n * wide + 2;
          const low = HEIGHT - FOOT;
          return (
            <g key={n}>
              {daily + purchased === 0 && <rect className="none" x={x} y={low - 2} width={wide - 4} height={2} />}
              <rect x={x} y={low - tall(daily)} width={wide - 4} height={tall(daily)} rx={2} />
              <rect className="bought" x={x} y={low - tall(daily) - tall(purchased)} width={wide - 4} height={tall(purchased)} rx={2} />
              {n % 7 === (length - 1) % 7 && <text x={x + wide / 2 - 2} y={HEIGHT - 4} textAnchor={n === length - 1 ? "end" : "middle"}>{name.slice(5).replace("-", "/")}</text>}
            </g>
          );
        })}
        {days.length > 0 && <text x={0} y={11}>{count(most)}</text>}
      </svg>
      <table className="hidden">
        <caption>Tokens by day</caption>
        <thead><tr><th>Day</th><th>Daily</th><th>Bought</th></tr></thead>
        <tbody>{days.map((day) => <tr key={day.day}><td>{day.day}</td><td>{day.daily}</td><td>{day.purchased}</td></tr>)}</tbody>
      </table>
    </>
  );
}

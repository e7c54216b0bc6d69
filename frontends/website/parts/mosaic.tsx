/** The picture of the landing page: tiles laid by a small rule, the same for everybody, drawn when the site is built. */
const COLUMNS = 8;
const ROWS = 7;
const COLOURS = "aabcdeefab";
const TOWER = ["M.24 .04h.52l.04 .92H.2z", "M.2 .04h.6l.04 .92H.16z", "M.16 .04h.68l.05 .92H.11z"];

function chance(n: number): number {
  const x = Math.sin(n * 127.1 + 11.7) * 43_758.545;
  return x - Math.floor(x);
}

export function Mosaic() {
  const tiles = Array.from({ length: COLUMNS * ROWS }, (_, n) => n);
  return (
    <svg className="mosaic" viewBox={`-0.06 -0.06 ${COLUMNS + 0.12} ${ROWS + 0.12}`} role="img" aria-label="A lighthouse on a hill, laid in tiles">
      {tiles.map((n) => (
        <g key={n} transform={`translate(${n % COLUMNS} ${Math.floor(n / COLUMNS)})`}>{tile(n)}</g>
      ))}
    </svg>
  );
}

/** The sea at the bottom, a hill, the tower with its lamp, and a restless sky. */
function tile(n: number) {
  const column = n % COLUMNS;
  const row = Math.floor(n / COLUMNS);
  const base = <rect className={ground(column, row)} x=".04" y=".04" width=".92" height=".92" rx=".06" />;
  const drawn = figure(column, row, n);
  return drawn ? <>{base}{drawn}</> : base;
}

function ground(column: number, row: number): string {
  if (row === 6) return "c";
  if (row === 5) return column > 1 && column < 7 ? "f" : "c";
  if (column === 4) return "f";
  return COLOURS[Math.floor(chance(column + row * 13) * COLOURS.length)] === "b" ? "f" : "e";
}

function figure(column: number, row: number, n: number) {
  if (column === 4 && row > 1 && row < 5) return <path className={row % 2 ? "d" : "a"} d={TOWER[row - 2]} />;
  if (column === 4 && row === 1) return <circle className="b" cx=".5" cy=".5" r=".36" />;
  if (column === 4 && row === 0) return <path className="a" d="M.04 .96 .5 .1.96 .96z" />;
  if (row === 1 && column < 4) return <path className="b" d={`M.04 ${0.16 - column * 0.03}.96 ${0.25 + column * 0.03}V${0.75 - column * 0.03}L.04 ${0.84 + column * 0.03}z`} />;
  if (row === 6) return <path className="d" d="M.04 .5a.23.23 0 0 1 .46 0 .23.23 0 0 0 .46 0v.1a.23.23 0 0 1-.46 0 .23.23 0 0 0-.46 0z" />;
  if (row === 5 && (column === 2 || column === 6)) return <path className="c" d={column === 2 ? "M.04 .04v.92h.2A.9.9 0 0 1 .96 .04z" : "M.96 .04v.92h-.2A.9.9 0 0 0 .04 .04z"} />;
  if (column === 6 && row === 2) return <circle className="a" cx=".5" cy=".5" r=".3" />;
  const kind = chance(n + 3);
  if (row < 5 && kind > 0.72) return <path className={kind > 0.86 ? "c" : "a"} d="M.04 .04h.92A.92.92 0 0 1 .04 .96z" />;
  if (row < 5 && kind < 0.16) return <path className="d" d="M.96 .04v.92H.04z" />;
  return null;
}

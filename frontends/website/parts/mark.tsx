/** The name and its sign: four tiles. */
import Link from "next/link";

export function Mark({ href = "/" }: { href?: string }) {
  return (
    <Link className="mark" href={href} aria-label="Tessera, to the start">
      <svg width="26" height="26" viewBox="5 5 22 22" aria-hidden="true">
        <path fill="#e8643a" d="M6 6h9.400v9.400H6z" />
        <path fill="#f2b84b" d="M16.600 6H26l-9.400 9.400z" />
        <path fill="currentColor" d="M26 7.500v7.900h-7.900z" />
        <path fill="#2f8f83" d="M6 16.600h9.400V26A9.400 9.400 0 0 1 6 16.600z" />
        <circle fill="currentColor" cx="21.300" cy="21.300" r="4.700" />
      </svg>
      Tessera
    </Link>
  );
}

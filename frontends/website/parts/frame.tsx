"use client";

/** What is around every page of somebody who is signed in; who is not is shown the way to the door and back. */
import Link from "next/link";
import { usePathname } from "next/navigation";
import { useEffect, useRef, type ReactNode } from "react";

import { sentence } from "@/data/api";
import { useResource } from "@/data/resource";
import { useSession } from "@/data/session";
import type { Account } from "@/data/types";
import { count } from "@/data/words";
import { Create, Door, Gauge, History, Hook, KeyIcon, Moon, More, Person } from "@/parts/icons";
import { Mark } from "@/parts/mark";
import { SignIn } from "@/parts/signin";

const PURSE_MILLISECONDS = 30_000;
const MAIN = [
  { href: "/create", title: "Create", Icon: Create },
  { href: "/history", title: "History", Icon: History },
  { href: "/account", title: "Account", Icon: Person },
];
const REST = [
  { href: "/keys", title: "API keys", Icon: KeyIcon },
  { href: "/webhooks", title: "Webhooks", Icon: Hook },
];
const ADMIN = { href: "/admin", title: "Admin", Icon: Gauge };

export function Frame({ children }: { children: ReactNode }) {
  const path = usePathname();
  const { session, error, signOut } = useSession();
  const sheet = useRef<HTMLDialogElement>(null);
  useEffect(() => sheet.current?.close(), [path]);
  const links = (all: typeof MAIN) =>
    all.map(({ href, title, Icon }) => (
      <Link key={href} href={href} prefetch={false} aria-current={path === href ? "page" : undefined}>
        <Icon />
        {title}
      </Link>
    ));
  const rest = links(session?.is_operator ? [...REST, ADMIN] : REST);
  const switches = (
    <>
      <button type="button" onClick={turn}>
        <Moon /> Light or dark
      </button>
      <button type="button" disabled={!session?.signed_in} onClick={() => void signOut()}>
        <Door /> Sign out
      </button>
    </>
  );
  return (
    <div className="frame">
      <header className="rail">
        <Mark href="/create" />
        <nav className="tabs" aria-label="Pages">
          {links(MAIN)}
          <button type="button" className="menu" onClick={() => sheet.current?.showModal()}>
            <More /> More
          </button>
        </nav>
        <nav className="more" aria-label="More pages">{rest}</nav>
        <div className="more last">{switches}</div>
        <Purse known={session?.signed_in ?? false} />
      </header>
      <dialog ref={sheet} className="sheet" aria-label="More" onClick={(event) => event.target === sheet.current && sheet.current.close()}>
        <nav aria-label="More pages">
          {rest}
          {switches}
        </nav>
        <button type="button" className="button wide" onClick={() => sheet.current?.close()}>
          Close
        </button>
      </dialog>
      <div>
        {error !== null && <p className="notice bad" role="alert">{sentence(error)}</p>}
        {session && !session.signed_in ? <SignIn next={path} /> : children}
      </div>
    </div>
  );
}

function Purse({ known }: { known: boolean }) {
  const { data } = useResource<Account>(known ? "/api/v1/user/me" : null, PURSE_MILLISECONDS);
  return (
    <Link className="purse" href="/account" prefetch={false}>
      <b>{data ? count(data.tokens.available) : "–"}</b> <span className="small soft">tokens</span>
    </Link>
  );
}

function turn() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // It holds until the next load.
  }
}

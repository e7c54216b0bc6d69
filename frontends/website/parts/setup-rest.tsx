"use client";

/** Steps that are mostly done elsewhere: who one is, bots, backups. */
import Link from "next/link";

import { useSession } from "@/data/session";
import { ago, moment } from "@/data/words";
import { Secret } from "@/parts/secret";
import type { StepProps } from "@/parts/setup";

export function AccountStep(_: StepProps) {
  const { session } = useSession();
  const ways = (session?.providers ?? []).filter((one) => one.id !== "code");
  return (
    <>
      <p>You are signed in as <b>{session?.user?.name}</b>, an operator. The link that brought you here works no more; this makes a new one, on the machine itself:</p>
      <Secret text="tessera setup" />
      {ways.length > 0 ? (
        <>
          <p className="small">So that you need no link next time, add a way in:</p>
          <div className="row">{ways.map((one) => <a key={one.id} className="button" href={`${one.url}?link=true&next=/setup`}>Link {one.title}</a>)}</div>
        </>
      ) : (
        <p className="small soft">People can sign in with Google, Discord or Telegram once you have set their client ids (<code>TESSERA_GOOGLE_CLIENT_ID</code> and so on); until then by codes of your bots and by your links.</p>
      )}
    </>
  );
}

export function BotsStep({ setup }: StepProps) {
  return (
    <>
      <p>On Telegram and Discord people order where they already are. This asks for the tokens, checks them with the platform, and prints the links that add each bot to a chat:</p>
      <Secret text="tessera-bots setup" />
      <p className="small soft"><code>tessera up</code> starts them by itself the next time. Elsewhere a bot needs a key of its own: <code>tessera key create --service bots --provider telegram --provider discord --scope read --scope submit --scope payments --scope operate</code></p>
      <ul className="list" aria-label="Connected">
        {setup.bots.map((bot) => (
          <li key={bot.name} className="row apart">
            <span><b>{bot.name}</b> <span className="soft small">{bot.providers.join(", ")}</span></span>
            <span className={`chip ${bot.last_used_at ? "good" : ""}`}>{bot.last_used_at ? `heard ${ago(bot.last_used_at)}` : "not heard yet"}</span>
          </li>
        ))}
        {setup.bots.length === 0 && <li className="soft">No bot has a key yet.</li>}
      </ul>
    </>
  );
}

export function BackupStep({ setup }: StepProps) {
  const { backup } = setup;
  return (
    <>
      <p>One backup holds the database, pictures, settings, keys and bots. It goes to another disk or machine, or into a bucket, and each one is proven: restored into an empty server and compared.</p>
      {backup.place === null ? (
        <>
          <p className="small">Once, make the key that opens backups, and keep it on another machine:</p>
          <Secret text="tessera backup key" />
          <p className="small">Then say where to and for which key, and start Tessera with that; <code>tessera up</code> makes one every night at {backup.at} (UTC).</p>
          <Secret text="TESSERA_BACKUP_URL=file:///mnt/disk/tessera TESSERA_BACKUP_RECIPIENT=age1… tessera up" />
        </>
      ) : (
        <>
          <p className="small">They go to <code>{backup.place}</code>, every night at {backup.at} (UTC) while <code>tessera up</code> runs.{!backup.closed_to_a_key && " Nobody has said yet for which key they are closed: TESSERA_BACKUP_RECIPIENT."}</p>
          <p className="small">To make one now:</p>
          <Secret text="tessera backup" />
        </>
      )}
      {backup.last_error && <p className="notice bad" role="alert">The last one, of {backup.last_started_at && moment(backup.last_started_at)}, failed: {backup.last_error}</p>}
      <p className="small soft">{backup.verified_at ? `The last proven one is of ${moment(backup.verified_at)}.` : "None was proven yet."} <Link href="/admin" prefetch={false}>To Admin</Link></p>
    </>
  );
}

-- Incidents: what is wrong, for the operator. Which change follows from what was found is decided in `watch/decision.py`.

-- take_turn :value
-- The right to look, for so long; no row when another process has it, or looked just now. The time is the database's.
update watches set free_at = now() + make_interval(secs => %(lease_seconds)s::float8) where free_at <= now() returning now();

-- end_turn :run
-- The next look may come after the pause. Whoever took longer than its turn has none to end.
update watches set free_at = now() + make_interval(secs => %(pause_seconds)s::float8), looked_at = now() where free_at > now();

-- known :many
-- Those that are not over, and those that were a short while ago.
select i.id, i.kind, i.subject, i.summary, i.first_seen_at, i.last_seen_at, i.opened_at, i.reminded_at, i.reminders, i.acked_at,
    i.closed_at, i.edition, i.edition_at, i.rings
from incidents i
where i.closed_at is null
union all
select i.id, i.kind, i.subject, i.summary, i.first_seen_at, i.last_seen_at, i.opened_at, i.reminded_at, i.reminders, i.acked_at,
    i.closed_at, i.edition, i.edition_at, i.rings
from incidents i
where i.closed_at > now() - make_interval(secs => %(reach_seconds)s::float8);

-- add :value
-- A new one; no row when another process was quicker.
insert into incidents (kind, subject, summary, first_seen_at, last_seen_at, opened_at, edition, edition_at, rings)
values (%(kind)s::text, %(subject)s::text, %(summary)s::text, %(first_seen_at)s::timestamptz, %(last_seen_at)s::timestamptz,
    %(opened_at)s::timestamptz, %(edition)s::integer, %(edition_at)s::timestamptz, %(rings)s::integer)
on conflict (kind, subject) where closed_at is null do nothing
returning id;

-- change :run
-- What became of one. That somebody has acknowledged it meanwhile stays.
update incidents set summary = %(summary)s::text, last_seen_at = %(last_seen_at)s::timestamptz,
    opened_at = %(opened_at)s::timestamptz, reminded_at = %(reminded_at)s::timestamptz, reminders = %(reminders)s::integer,
    closed_at = %(closed_at)s::timestamptz, edition = %(edition)s::integer, edition_at = %(edition_at)s::timestamptz,
    rings = %(rings)s::integer
where id = %(id)s::bigint;

-- forget :run
-- One that went before it was worth telling.
delete from incidents where id = %(id)s::bigint and opened_at is null;

-- untold :many
-- What this channel has still to say; nothing of what was over before it was ever told there, or long ago.
select i.id, i.kind, i.subject, i.summary, i.first_seen_at, i.last_seen_at, i.opened_at, i.reminded_at, i.reminders, i.acked_at,
    i.closed_at, i.edition, i.edition_at, i.rings, m.handle, coalesce(m.edition, 0) as told
from incidents i
left join incident_messages m on m.incident_id = i.id and m.channel = %(channel)s::text
where i.opened_at is not null and i.edition > coalesce(m.edition, 0)
    and (i.closed_at is null or m.edition is not null and i.closed_at > now() - make_interval(secs => %(reach_seconds)s::float8))
order by i.id;

-- told :run
-- A channel has said it.
insert into incident_messages (incident_id, channel, handle, edition)
values (%(incident_id)s::bigint, %(channel)s::text, %(handle)s::text, %(edition)s::integer)
on conflict (incident_id, channel) do update set handle = excluded.handle, edition = excluded.edition, told_at = now();

-- page :many
-- As people look at them: the newest first, only those that are not over unless all are asked for.
select i.id, i.kind, i.subject, i.summary, i.first_seen_at, i.last_seen_at, i.opened_at, i.reminded_at, i.reminders, i.acked_at,
    i.closed_at, i.edition, i.edition_at, i.rings
from incidents i
where i.opened_at is not null and (%(closed)s::boolean or i.closed_at is null)
order by i.id desc limit %(most)s::integer;

-- ack :value
-- Somebody knows; no more reminders. No row: there is no such incident, or it is over.
update incidents set acked_at = coalesce(acked_at, now())
where id = %(id)s::bigint and opened_at is not null and closed_at is null
returning id;

-- sweep :run
-- What has long been over.
delete from incidents where id in (
    select i.id from incidents i where i.closed_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer);

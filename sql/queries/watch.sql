-- What is looked at to know whether all is well. Read now and then, never on the way of a request.

-- house :one
-- What there is only once. The age of a service is that of its schema.
select now() as now,
    (select extract(epoch from now() - min(m.applied_at)) from schema_migrations m)::float8 as age_seconds,
    books.checked_at as ledger_checked_at, books.violations as ledger_violations,
    (select count(*) from reports r where r.state = 'open')::integer as reports_open,
    (select extract(epoch from now() - min(r.created_at)) from reports r where r.state = 'open')::float8 as report_seconds,
    (select count(*) from payments_unmatched p where p.seen_at > now() - interval '7 days')::integer as payments_unmatched,
    backup.started_at as backup_at, backup.ended_at as backup_ended_at, backup.error as backup_error, backup.bytes as backup_bytes,
    extract(epoch from now() - good.started_at)::float8 as backup_good_seconds,
    good.verified_at as backup_verified_at, (select w.looked_at from watches w) as watched_at,
    (select count(*) from webhook_deliveries d where d.state = 'pending' and d.next_attempt_at <= now())::integer as webhooks_due,
    (select extract(epoch from now() - min(d.next_attempt_at)) from webhook_deliveries d
        where d.state = 'pending' and d.next_attempt_at <= now())::float8 as webhook_seconds
from (values (1)) as always
left join ledger_checks books on true
left join lateral (select b.started_at, b.ended_at, b.error, b.bytes from backups b order by b.started_at desc limit 1) backup on true
left join lateral (select b.started_at, b.verified_at from backups b where b.ended_at is not null and b.error is null
    order by b.started_at desc limit 1) good on true;

-- lines :many
-- Lanes in which somebody waits, and for how long nobody has been there to serve them (null: there never was).
select l.id, l.kind, l.model, line.queued, line.oldest_seconds, line.oldest_id, coalesce(served.live, 0)::integer as live_slots,
    extract(epoch from now() - served.seen_at)::float8 as unserved_seconds
from lanes l
join models m on m.name = l.model and m.kind = l.kind
join lateral (
    select count(*)::integer as queued, extract(epoch from now() - min(j.created_at))::float8 as oldest_seconds,
        (array_agg(j.id order by j.created_at))[1] as oldest_id
    from (select j.id, j.created_at from jobs j
        where j.lane_id = l.id and j.state = 'queued' and j.tag is not null
        order by j.tag, j.id limit %(most)s::integer) j
) line on line.queued > 0
left join lateral (
    select max(w.last_seen_at) as seen_at, count(*) filter (where s.quarantined_at is null
        and w.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)) as live
    from slots s join workers w on w.id = s.worker_id
    where l.id = any (s.lane_ids) and w.revoked_at is null
) served on true
where not l.sandbox and l.paused_at is null and m.paused_at is null
order by l.id;

-- failures :many
-- Runs that failed or were lost within the last hour, of jobs that were ordered within the last day, by cause.
select coalesce(a.cause, a.outcome) as cause, count(*)::integer as runs, count(distinct a.job_id)::integer as jobs
from attempts a
where a.job_id >= uuid7_floor(now() - interval '1 day') and a.outcome in ('failed', 'lost') and a.ended_at > now() - interval '1 hour'
    and not exists (select from workers w where w.id = a.worker_id and w.trust = 'sandbox')
group by 1 order by 2 desc, 1;

-- running :many
-- What each slot has in hand.
select j.worker_id, j.slot::integer as slot, j.id as job_id, l.model, j.phase,
    extract(epoch from now() - j.started_at)::float8 as seconds
from jobs j join lanes l on l.id = j.lane_id and not l.sandbox
where j.state = 'running'
order by j.worker_id, j.slot, j.started_at nulls last
limit %(most)s::integer;

-- server :one
-- What the database says of itself, and of the role that asks.
select current_setting('server_version') as version, current_user::text as role,
    pg_has_role(current_user, c.relowner, 'usage') as owns, clock_timestamp() as now,
    (select count(*) from schema_migrations)::integer as applied,
    (select coalesce(max(needs), 0) from schema_migrations) as needs
from pg_class c where c.oid = 'public.jobs'::regclass;

-- Gauges: what the database says of the service when somebody looks at /metrics. Few statements, which are read
-- the more rarely the longer they take.

-- lanes :many
-- Who stands in line in each of these lanes, up to a cap: jobs, their users, for how long the oldest has waited, and how far
-- apart the users' next turns are.
select lane.id as lane_id, line.jobs, line.users, line.oldest_seconds, line.turn_spread
from unnest(%(lane_id)s::integer[], %(bound)s::float8[]) as lane (id, bound)
cross join lateral (
    select coalesce(sum(mine.jobs), 0)::integer as jobs, count(*)::integer as users,
        coalesce(extract(epoch from now() - min(mine.oldest_at)), 0)::float8 as oldest_seconds,
        coalesce(max(mine.head_tag) - min(mine.head_tag), 0)::float8 as turn_spread
    from (
        select place.user_id, count(*) as jobs, min(place.created_at) as oldest_at, min(place.tag) as head_tag
        from (
            select j.user_id, j.created_at, j.tag from jobs j
            where j.lane_id = lane.id and j.state = 'queued' and j.tag is not null and j.tag >= lane.bound
            order by j.tag, j.id limit %(most)s::integer
        ) place
        group by place.user_id
    ) mine
) line;

-- slots :many
-- By lane: the live slots that take its jobs, those that are draining and those in quarantine.
select l.id as lane_id,
    count(*) filter (where s.healthy and s.quarantined_at is null and not (w.draining or w.drain_requested_at is not null))::integer
        as taking,
    count(*) filter (where w.draining or w.drain_requested_at is not null)::integer as draining,
    count(*) filter (where s.quarantined_at is not null)::integer as quarantined
from slots s
join workers w on w.id = s.worker_id and w.revoked_at is null and w.trust <> 'sandbox'
cross join lateral unnest(s.lane_ids) as serves (lane_id)
join lanes l on l.id = serves.lane_id and not l.sandbox
where s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)
group by l.id;

-- leases :many
-- By lane and phase: the leases, their tokens, and for how long the one that should have been taken back first has been over.
select j.lane_id, j.phase, count(*)::integer as leases, sum(j.cost)::integer as tokens,
    greatest(0, extract(epoch from now() - min(j.lease_expires_at)))::float8 as expired_seconds
from jobs j join lanes l on l.id = j.lane_id and not l.sandbox
where j.state = 'running'
group by j.lane_id, j.phase;

-- house :one
-- What there is only once: workers, retries that wait, messages that are due, complaints that are open, old transactions, the
-- age of the last good backup (null: there is none), and of the service, by its schema.
select
    (select count(*) from workers w where w.revoked_at is null and w.trust <> 'sandbox'
        and w.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8))::integer as workers_live,
    (select count(*) from workers w where w.revoked_at is null and w.trust <> 'sandbox'
        and w.last_seen_at < now() - make_interval(secs => %(live_seconds)s::float8)
        and w.last_seen_at > now() - make_interval(secs => %(gone_seconds)s::float8))::integer as workers_gone,
    (select count(*) from (
        select from jobs j where j.state = 'queued' and j.due_at is not null limit %(most)s::integer) b)::integer as jobs_backing_off,
    (select count(*) from (
        select from webhook_deliveries d where d.state = 'pending' and d.next_attempt_at <= now()
        limit %(most)s::integer) d)::integer as webhooks_due,
    (select count(*) from (select from reports r where r.state = 'open' limit %(most)s::integer) r)::integer as reports_open,
    (select coalesce(max(extract(epoch from now() - a.xact_start)), 0) from pg_stat_activity a
        where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state <> 'idle')::float8 as oldest_transaction_seconds,
    (select extract(epoch from now() - b.started_at) from backups b where b.ended_at is not null and b.error is null
        order by b.started_at desc limit 1)::float8 as backup_good_seconds,
    (select extract(epoch from now() - min(m.applied_at)) from schema_migrations m)::float8 as age_seconds;

-- tokens :one
-- What jobs that are not over hold, and what became of the tokens of those ordered in the last 24 hours that are.
select
    (select coalesce(sum(j.cost), 0) from jobs j where j.state = 'queued' and not is_test(j.user_id))::bigint
        + (select coalesce(sum(j.cost), 0) from jobs j where j.state = 'running' and not is_test(j.user_id))::bigint as held,
    coalesce(sum(s.charged), 0)::bigint as charged, coalesce(sum(s.returned), 0)::bigint as returned
from settlements s
where s.job_id >= uuid7_floor(now() - interval '24 hours') and not is_test(s.user_id);

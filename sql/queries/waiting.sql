-- Why jobs wait: what a lane looks like at a moment, by the predicates of the claim.

-- service :one
-- The live slots that serve a lane, those that are draining or in quarantine, what runs on them and for how long it has,
-- and how long recent runs took.
with serving as materialized (
    select s.worker_id, s.slot, s.loaded_lane_id is null or exists (select 1 from lanes has, lanes mine
            where has.id = s.loaded_lane_id and mine.id = %(lane_id)s::integer
                and (has.kind, has.model) = (mine.kind, mine.model)) as loaded,
        s.quarantined_at is not null as quarantined, w.draining or w.drain_requested_at is not null as draining,
        s.healthy and s.quarantined_at is null and not w.draining and w.drain_requested_at is null as takes
    from slots s join workers w on w.id = s.worker_id
    where %(lane_id)s::integer = any (s.lane_ids) and w.revoked_at is null
        and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)
),
-- From what runs to its slot, by key: the other way round a plan made for a few slots walks all leases for each of many.
busy as materialized (
    select j.cost, coalesce(extract(epoch from now() - j.started_at), 0) as seconds
    from jobs j cross join lateral (
        select s.lane_ids, s.last_seen_at, w.revoked_at
        from slots s join workers w on w.id = s.worker_id
        where s.worker_id = j.worker_id and s.slot = j.slot
        limit 1
    ) s
    where j.state = 'running' and %(lane_id)s::integer = any (s.lane_ids) and s.revoked_at is null
        and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)
)
select
    (select count(*) from serving where takes)::integer as slots,
    (select count(*) from serving where takes and loaded)::integer as loaded,
    (select count(*) from serving where draining)::integer as draining,
    (select count(*) from serving where quarantined)::integer as quarantined,
    (select coalesce(sum(cost), 0) from busy)::integer as running_tokens,
    (select coalesce(sum(seconds), 0) from busy)::float8 as running_seconds,
    l.paused_at is not null or m.paused_at is not null as paused,
    l.run_tokens, l.run_seconds
from lanes l join models m on m.name = l.model and m.kind = l.kind
where l.id = %(lane_id)s::integer;

-- places :many
-- The first jobs in line; as everywhere, the scan starts at the bound and not at the dead entries before it.
select j.id, j.tag, j.cost from jobs j
where j.lane_id = %(lane_id)s::integer and j.state = 'queued' and j.tag is not null and j.tag >= %(bound)s::float8
    and (j.start_by is null or j.start_by > now())
order by j.tag, j.id limit %(most)s::integer;

-- ended :many
-- How these jobs ended, or that they have not.
select j.id, j.state = 'succeeded' as succeeded, extract(epoch from j.finished_at - j.created_at)::float8 as seconds
from jobs j where j.id = any (%(job_id)s::uuid[]);

-- Why jobs wait: what a lane looks like at a moment.

-- service :one
-- The live slots that serve a lane, those that are draining, what runs on them, and how long recent runs took.
select
    (select count(*) from slots s join workers w on w.id = s.worker_id
        where l.id = any (s.lane_ids) and s.healthy and s.quarantined_at is null and w.revoked_at is null
            and not w.draining and w.drain_requested_at is null
            and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8))::integer as slots,
    (select count(*) from slots s join workers w on w.id = s.worker_id
        where l.id = any (s.lane_ids) and w.revoked_at is null and (w.draining or w.drain_requested_at is not null)
            and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8))::integer as draining,
    (select coalesce(sum(j.cost), 0) from slots s join jobs j on j.worker_id = s.worker_id and j.slot = s.slot
        where l.id = any (s.lane_ids) and j.state = 'running')::integer as running_tokens,
    (l.paused_at is not null or m.paused_at is not null or (select s.paused_at is not null from switches s where s.name = 'submits')) as paused,
    l.seconds_per_token
from lanes l join models m on m.name = l.model and m.kind = l.kind
where l.id = %(lane_id)s::integer;

-- places :many
-- The first jobs in line; as everywhere, the scan starts at the bound and not at the dead entries before it.
select j.id, j.tag, j.cost from jobs j
where j.lane_id = %(lane_id)s::integer and j.state = 'queued' and j.tag is not null and j.tag >= %(bound)s::float8
order by j.tag, j.id limit %(most)s::integer;

-- What holds one job up, in numbers, for the operator.

-- facts :one
-- The job's place, its user's running cap, and its lane.
select j.tag + j.head_start - l.clock as turn, b.running, j.running_max, j.running_max <= b.running as capped,
    extract(epoch from j.due_at - now())::float8 as due_in, extract(epoch from j.start_by - now())::float8 as expires_in,
    l.run_tokens, l.run_seconds
from jobs j join lanes l on l.id = j.lane_id join balances b on b.user_id = j.user_id
where j.id = %(job_id)s::uuid;

-- ahead :many
-- Whose jobs stand before it, who has the most tokens there first.
select u.name as user, e.plan, count(*)::integer as jobs, sum(o.cost)::integer as tokens
from jobs j
join jobs o on o.lane_id = j.lane_id and o.state = 'queued' and (o.tag, o.id) < (j.tag, j.id)
    and (o.start_by is null or o.start_by > now())
join users u on u.id = o.user_id
join user_plans e on e.user_id = u.id
where j.id = %(job_id)s::uuid
group by u.id, u.name, e.plan
order by tokens desc, u.name;

-- slots :many
-- The slots that could run jobs of this lane, and what each does now.
select w.name as worker, s.slot, loaded.model as loaded, running.model as runs, job.cost as tokens,
    extract(epoch from now() - job.started_at)::float8 as seconds,
    s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8) as live, s.healthy,
    s.quarantined_at is not null as quarantined, w.draining or w.drain_requested_at is not null as draining, s.lane_ids
from slots s
join workers w on w.id = s.worker_id
left join lanes loaded on loaded.id = s.loaded_lane_id
left join lateral (
    select j.lane_id, j.cost, j.started_at from jobs j
    where j.state = 'running' and j.worker_id = s.worker_id and j.slot = s.slot
    order by j.started_at nulls last limit 1
) job on true
left join lanes running on running.id = job.lane_id
where %(lane_id)s::integer = any (s.lane_ids) and w.revoked_at is null
order by w.name, s.slot;

-- rivals :many
-- Who has jobs in these lanes, as the wait bound counts them: the users of a plan with a pool weight as one, and what
-- stands before the lane's clock as overdue.
select there.lane_id, sum(there.weight)::float8 as weights, sum(there.dearest)::float8 as dearest,
    sum(there.overdue)::float8 as overdue
from (
    select j.lane_id, max(coalesce(p.pool_weight, p.weight)) as weight, max(j.cost) as dearest,
        coalesce(sum(j.cost) filter (where j.tag < l.clock), 0) as overdue
    from jobs j
    join lanes l on l.id = j.lane_id
    join user_plans p on p.user_id = j.user_id
    where j.state = 'queued' and j.tag is not null and j.lane_id = any (%(lane_id)s::integer[])
    group by j.lane_id, coalesce(j.pool, j.user_id::text)
) there
group by there.lane_id;

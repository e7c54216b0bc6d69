-- The queue. Batch statements take one array per field, members in the order of the caller; each member gets one
-- row back, a refusal being a row too. Rows are locked in the order of their ids, so that two batches never wait
-- for each other in a circle. Every change of state compares state and fence. A lease token on a job means the state
-- `running` (`lease_is_whole`), so fences do not name the state: naming it would invite plans that walk every lease.

-- claim :many
-- Gives the members, who all serve the same lanes and have the same lane loaded, the jobs that are next in line.
-- First a look without locks decides how many come from which lane; then exactly so many are locked, skipping what
-- others hold. Lanes are compared by tag + offset; one that lags further than `lag` behind the pool clock is lifted
-- to it, by where its line is and not by a job with an older tag; of two that are lifted, the one behind goes first. A
-- lane that is not loaded stands back by `affinity`, unless its head has waited `patience` seconds, all of them since the
-- lane was last served. Jobs of users
-- who have as many running as their plan allows are passed over. The users of what was picked are locked, in the order
-- of their ids, so that no two claims seat somebody beyond that.
with member as materialized (
    select m.n, m.worker_id, m.slot, m.claim_id,
        case when w.id is null or w.revoked_at is not null then 'revoked'
            when w.drain_requested_at is not null then 'draining'
            when (select s.quarantined_at is not null from slots s where s.worker_id = m.worker_id and s.slot = m.slot)
                then 'quarantined'
            when m.is_full then 'slot_full'
        end as refusal,
        (select j.id from jobs j where j.state = 'running' and j.worker_id = m.worker_id and j.claim_id = m.claim_id
            and j.slot = m.slot) as held_job_id
    from unnest(%(worker_id)s::uuid[], %(slot)s::smallint[], %(claim_id)s::uuid[], %(is_full)s::boolean[])
        with ordinality as m (worker_id, slot, claim_id, is_full, n)
    left join workers w on w.id = m.worker_id
),
free as materialized (
    select array_agg(n order by n) as members, count(*) as jobs from member where refusal is null and held_job_id is null
),
lane as materialized (
    select l.id, m.bound, m.clock, m.tag_offset, m.served_at,
        (select q.tag from jobs q where q.state = 'queued' and q.lane_id = l.id and q.tag >= m.bound
            order by q.tag, q.id limit 1) as head_tag
    from unnest(%(lane_id)s::integer[], %(bound)s::float8[], %(clock)s::float8[], %(tag_offset)s::float8[],
            %(served_at)s::timestamptz[]) as m (lane_id, bound, clock, tag_offset, served_at)
    join lanes l on l.id = m.lane_id and l.paused_at is null
    join models mo on mo.name = l.model and mo.kind = l.kind and mo.paused_at is null
),
seen as materialized (
    select lane.id as lane_id, j.id, j.tag, greatest(j.tag + j.head_start, lane.clock) - j.head_start + lane.tag_offset as key,
        greatest(min(j.tag + j.head_start) over (partition by lane.id), lane.clock) + lane.tag_offset as place,
        extract(epoch from now() - greatest(lane.served_at, min(j.created_at) over (partition by lane.id))) as waited
    from lane cross join lateral (
        select q.id, q.tag, q.head_start, q.created_at from jobs q
        where q.state = 'queued' and q.lane_id = lane.id and q.tag >= lane.bound
            and (q.start_by is null or q.start_by > now())
            and (select b.running from balances b where b.user_id = q.user_id) < q.running_max
        order by q.tag, q.id
        limit (select jobs from free)
    ) j
),
planned as materialized (
    select best.lane_id, best.lift, count(*) as jobs
    from (
        select seen.lane_id, shift.lift, seen.key + shift.lift + shift.back as rank
        from seen cross join lateral (
            select greatest(0, %(pool_clock)s::float8 - %(lag)s::float8 - seen.place) as lift,
                case when seen.lane_id <> %(loaded_lane_id)s::integer and seen.waited < %(patience)s::float8
                    then %(affinity)s::float8 else 0 end as back
        ) shift
        order by rank, seen.key, seen.tag, seen.id
        limit (select jobs from free)
    ) best
    group by best.lane_id, best.lift
),
picked as materialized (
    select j.id, j.user_id, j.running_max, j.tag, j.head_start, planned.lane_id, lane.head_tag,
        j.tag + lane.tag_offset + planned.lift as key
    from planned
    join lane on lane.id = planned.lane_id
    cross join lateral (
        select q.id, q.user_id, q.running_max, q.tag, q.head_start from jobs q
        where q.state = 'queued' and q.lane_id = planned.lane_id and q.tag >= lane.bound
            and (q.start_by is null or q.start_by > now())
            and (select b.running from balances b where b.user_id = q.user_id) < q.running_max
        order by q.tag, q.id
        limit planned.jobs
        for update skip locked
    ) j
),
crowd as materialized (
    select b.user_id, b.running from balances b
    where b.user_id in (select user_id from picked)
    order by b.user_id for no key update
),
seated as materialized (
    select ranked.*, row_number() over (order by key, tag, id) as place
    from (
        select picked.*, crowd.running
            + row_number() over (partition by picked.user_id order by picked.key, picked.tag, picked.id) as running
        from picked join crowd on crowd.user_id = picked.user_id
    ) ranked
    where running <= running_max
),
leased as (
    update jobs set state = 'running', attempt = jobs.attempt + 1, phase = 'offered',
        worker_id = (%(worker_id)s::uuid[])[seat.n], slot = (%(slot)s::smallint[])[seat.n],
        claim_id = (%(claim_id)s::uuid[])[seat.n], lease_token = gen_random_uuid(),
        lease_expires_at = now() + make_interval(secs => %(offer_seconds)s::float8)
    from (select seated.*, free.members[seated.place] as n from seated cross join free) seat
    where jobs.id = seat.id
    returning seat.n, jobs.id, jobs.user_id, jobs.cost, jobs.attempt, jobs.lease_token, jobs.worker_id, jobs.slot, jobs.claim_id,
        seat.tag, seat.head_start, seat.lane_id, seat.head_tag, seat.key
),
attempted as (
    insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
    select id, attempt, worker_id, slot, claim_id, lease_token from leased
),
counted as (
    update balances set queued = balances.queued - mine.jobs, running = balances.running + mine.jobs
    from (select user_id, count(*)::integer as jobs from leased group by user_id) mine
    where balances.user_id = mine.user_id
),
told as (
    insert into job_events (job_id, name, attempt) select id, 'job.claimed', attempt from leased
)
select member.n::integer as n, case when held.id is null or member.refusal = 'revoked' then member.refusal end as refusal,
    coalesce(leased.id, held.id) as job_id,
    coalesce(leased.attempt, held.attempt) as attempt,
    coalesce(leased.lease_token, held.lease_token) as lease_token,
    case when held.id is null then %(offer_seconds)s::float8
        else greatest(0, extract(epoch from held.lease_expires_at - now())) end::float8 as expires_in,
    job_specs.spec::text as spec,
    leased.lane_id, leased.tag, leased.tag + leased.head_start as clock, leased.head_tag, leased.key, leased.cost,
    now() as claimed_at, (select coalesce(sum(jobs), 0) from planned) > (select count(*) from seated) as contended
from member
left join leased on leased.n = member.n
left join jobs held on held.id = member.held_job_id
left join job_specs on job_specs.job_id = coalesce(leased.id, held.id)
order by member.n;

-- claim_one :one
-- The same as claim, for a single member, in steps (0012_lone.sql).
select 1 as n, c.refusal, c.job_id, c.attempt, c.lease_token, c.expires_in,
    c.spec, c.lane_id, c.tag, c.clock, c.head_tag, c.key, c.cost, now() as claimed_at, c.contended
from claim_one(%(worker_id)s::uuid, %(slot)s::smallint, %(claim_id)s::uuid, %(is_full)s::boolean,
    %(lane_id)s::integer[], %(bound)s::float8[], %(clock)s::float8[], %(tag_offset)s::float8[],
    %(served_at)s::timestamptz[], %(loaded_lane_id)s::integer, %(pool_clock)s::float8, %(offer_seconds)s::float8,
    %(affinity)s::float8, %(patience)s::float8, %(lag)s::float8, %(of_user_id)s::uuid) c;

-- live_leases :many
-- Which of these jobs are still leased to the worker. By their ids: under an old snapshot the index of leases is full
-- of dead ones, and a hot statement must not walk them.
select id from jobs where id = any (%(job_id)s::uuid[]) and worker_id = %(worker_id)s::uuid;

-- take_over :one
-- An idle slot that found nothing takes a lease that waits, held but not started, behind another slot's running job.
with member as materialized (
    select w.id as worker_id from workers w left join slots s on s.worker_id = w.id and s.slot = %(slot)s::smallint
    where w.id = %(worker_id)s::uuid and w.revoked_at is null and w.drain_requested_at is null and s.quarantined_at is null
        and not exists (select 1 from jobs j where j.state = 'running' and j.worker_id = w.id and j.slot = %(slot)s::smallint)
),
waiting as materialized (
    select j.id, j.attempt as old_attempt, j.tag, j.lane_id
    from jobs j
    where j.state = 'running' and j.phase = 'held' and j.cancel_requested_at is null
        and j.lane_id = any (%(lane_id)s::integer[]) and exists (select 1 from member)
        and exists (select 1 from jobs before where before.state = 'running' and before.worker_id = j.worker_id
            and before.slot = j.slot and before.phase = 'started')
    order by j.tag, j.id limit 1 for update skip locked
),
closed as (
    update attempts set ended_at = now(), outcome = 'taken_over'
    from waiting where attempts.job_id = waiting.id and attempts.number = waiting.old_attempt
    returning attempts.job_id, attempts.worker_id
),
leased as (
    update jobs set attempt = jobs.attempt + 1, phase = 'offered', worker_id = %(worker_id)s::uuid, slot = %(slot)s::smallint,
        claim_id = %(claim_id)s::uuid, lease_token = gen_random_uuid(),
        lease_expires_at = now() + make_interval(secs => %(offer_seconds)s::float8)
    from closed where jobs.id = closed.job_id
    returning jobs.id, jobs.attempt, jobs.lease_token, jobs.worker_id, jobs.slot, jobs.claim_id, closed.worker_id as old_worker_id
),
attempted as (
    insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
    select id, attempt, worker_id, slot, claim_id, lease_token from leased
),
told as (
    insert into job_events (job_id, name, attempt) select id, 'job.taken_over', attempt from leased
)
select leased.id as job_id, leased.attempt, leased.lease_token, leased.old_worker_id, job_specs.spec::text as spec
from leased join job_specs on job_specs.job_id = leased.id;

-- heartbeat :many
-- Renews leases and reports phases. A member whose fence is stale gets `renewed` false and changes nothing; members
-- with one fence are one report, the furthest phase counts.
with member as materialized (
    select m.job_id, m.attempt, m.token, m.worker_id, m.phase, m.n
    from unnest(%(job_id)s::uuid[], %(attempt)s::integer[], %(token)s::uuid[], %(worker_id)s::uuid[], %(phase)s::text[])
        with ordinality as m (job_id, attempt, token, worker_id, phase, n)
),
report as materialized (
    select job_id, attempt, token, worker_id, bool_or(phase = 'started') as starts
    from member group by job_id, attempt, token, worker_id
),
locked as materialized (
    select j.id, report.starts and j.phase <> 'started' as starts
    from report
    join workers w on w.id = report.worker_id and w.revoked_at is null
    join jobs j on j.id = report.job_id and j.attempt = report.attempt and j.lease_token = report.token
        and j.worker_id = report.worker_id
    order by j.id for update of j
),
renewed as (
    update jobs set lease_expires_at = now() + make_interval(secs => %(lease_seconds)s::float8),
        phase = case when locked.starts or jobs.phase = 'started' then 'started' else 'held' end,
        started_at = case when locked.starts then coalesce(jobs.started_at, now()) else jobs.started_at end
    from locked where jobs.id = locked.id
    returning jobs.id, jobs.attempt, jobs.lease_token, jobs.worker_id, jobs.cancel_requested_at is not null as cancel,
        locked.starts
),
started as (
    update attempts set started_at = now() from renewed
    where renewed.starts and attempts.job_id = renewed.id and attempts.number = renewed.attempt
),
told as (
    insert into job_events (job_id, name, attempt) select id, 'job.started', attempt from renewed where starts
)
select member.n::integer as n, renewed.id is not null as renewed, coalesce(renewed.cancel, false) as cancel,
    coalesce(renewed.starts, false) as starts
from member left join renewed on renewed.id = member.job_id and renewed.attempt = member.attempt
    and renewed.lease_token = member.token and renewed.worker_id = member.worker_id
order by member.n;

-- report_progress :run
-- The last progress and preview of running jobs; a report of an older attempt never overwrites a newer one.
insert into job_progress (job_id, attempt, value, step, steps, preview)
select m.job_id, m.attempt, m.value, m.step, m.steps, m.preview
from unnest(%(job_id)s::uuid[], %(attempt)s::integer[], %(value)s::real[], %(step)s::integer[], %(steps)s::integer[],
    %(preview)s::bytea[]) as m (job_id, attempt, value, step, steps, preview)
order by m.job_id
on conflict (job_id) do update set attempt = excluded.attempt, value = excluded.value, step = excluded.step,
    steps = excluded.steps, preview = coalesce(excluded.preview, case when job_progress.attempt = excluded.attempt
        then job_progress.preview end), reported_at = now()
where job_progress.attempt <= excluded.attempt;

-- complete :many
-- A job succeeds when every announced file of this attempt is there; one whose cancellation was acknowledged before
-- is canceled instead.
with member as materialized (
    select m.job_id, m.attempt, m.token, m.worker_id, m.artifacts, m.n
    from unnest(%(job_id)s::uuid[], %(attempt)s::integer[], %(token)s::uuid[], %(worker_id)s::uuid[], %(artifacts)s::integer[])
        with ordinality as m (job_id, attempt, token, worker_id, artifacts, n)
),
locked as materialized (
    select j.id, j.attempt, member.n, member.artifacts, j.lane_id, j.cost, j.started_at, j.worker_id, j.slot,
        j.cancel_requested_at is not null as cancel
    from member
    join workers w on w.id = member.worker_id and w.revoked_at is null
    join jobs j on j.id = member.job_id and j.attempt = member.attempt and j.lease_token = member.token
        and j.worker_id = member.worker_id
    order by j.id for update of j
),
verdict as materialized (
    select locked.*,
        case when cancel then 'canceled'
            when locked.artifacts = (job_specs.spec ->> 'count')::integer and locked.artifacts = (
                select count(*) from artifacts a where a.job_id = locked.id and a.attempt = locked.attempt)
                then 'succeeded'
        end as outcome
    from locked join job_specs on job_specs.job_id = locked.id
),
finished as (
    update jobs set state = verdict.outcome, finished_at = now(), worker_id = null, slot = null, claim_id = null,
        lease_token = null, phase = null, lease_expires_at = null, started_at = coalesce(jobs.started_at, now())
    from verdict where jobs.id = verdict.id and verdict.outcome is not null
    returning jobs.id, jobs.attempt, jobs.state
),
closed as (
    update attempts set ended_at = now(), outcome = finished.state, started_at = coalesce(attempts.started_at, now())
    from finished where attempts.job_id = finished.id and attempts.number = finished.attempt
),
praised as (
    update slots set failed_jobs = '{}'
    from (select distinct worker_id, slot from verdict where outcome = 'succeeded') v
    where slots.worker_id = v.worker_id and slots.slot = v.slot and slots.failed_jobs <> '{}'
),
told as (
    insert into job_events (job_id, name, attempt) select id, 'job.' || state, attempt from finished
)
select member.n::integer as n,
    case when verdict.outcome is not null then verdict.outcome
        when verdict.id is not null then 'artifacts_missing'
        else 'lease_lost' end as result,
    verdict.lane_id, extract(epoch from now() - verdict.started_at)::float8 as run_seconds, verdict.cost
from member left join verdict on verdict.n = member.n
order by member.n;

-- fail :one
-- A failed run: tried again after a backoff with full jitter, unless it is the job's own fault or its budget is spent.
-- One that ran out of memory goes on in the lane of what needs more than its slot has, made on first sight, if a live slot
-- that serves its lane has more; the attempt's message says what was there. Slots that somebody writes just now learn of
-- a new lane with their next claim.
with locked as materialized (
    select j.id, j.attempt, j.lane_id, j.worker_id, j.slot, j.failures + 1 as failures,
        case when j.cancel_requested_at is not null then 'canceled'
            when %(final)s::boolean or j.failures + 1 >= %(failures_max)s::integer then 'failed'
            else 'queued' end as next
    from jobs j join workers w on w.id = j.worker_id and w.revoked_at is null
    where j.id = %(job_id)s::uuid and j.attempt = %(attempt)s::integer and j.lease_token = %(token)s::uuid
        and j.worker_id = %(worker_id)s::uuid
    for update of j
),
cramped as materialized (
    select locked.lane_id, locked.next, s.vram_gib, exists (
            select from slots other join workers w on w.id = other.worker_id
            where locked.lane_id = any (other.lane_ids) and other.vram_gib > s.vram_gib
                and other.quarantined_at is null and w.revoked_at is null
                and not w.draining and w.drain_requested_at is null
                and other.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)) as others_have_more
    from locked
    join slots s on s.worker_id = locked.worker_id and s.slot = locked.slot
    join lanes l on l.id = locked.lane_id
    where %(cause)s::text = 'oom' and s.vram_gib > 0 and s.vram_gib >= l.vram_gib
),
roomier as (
    insert into lanes (kind, model, vram_gib, sandbox, task)
    select l.kind, l.model, cramped.vram_gib + 1, l.sandbox, l.task
    from cramped join lanes l on l.id = cramped.lane_id
    where cramped.others_have_more and cramped.next = 'queued'
    on conflict (kind, model, vram_gib, sandbox, task) do update set kind = excluded.kind
    returning id
),
able as materialized (
    select s.worker_id, s.slot, roomier.id as lane_id
    from roomier, cramped, slots s
    where cramped.lane_id = any (s.lane_ids) and s.vram_gib > cramped.vram_gib and not roomier.id = any (s.lane_ids)
    for update of s skip locked
),
enabled as (
    update slots set lane_ids = array_append(slots.lane_ids, able.lane_id)
    from able where slots.worker_id = able.worker_id and slots.slot = able.slot
),
moved as (
    update jobs set state = locked.next, failures = locked.failures,
        lane_id = coalesce((select id from roomier), jobs.lane_id),
        worker_id = null, slot = null, claim_id = null, lease_token = null, phase = null, lease_expires_at = null,
        tag = case when locked.next = 'queued' then null else jobs.tag end,
        due_at = case when locked.next = 'queued' then now() + make_interval(secs =>
            random() * least(%(backoff_max)s::float8, %(backoff_first)s::float8 * 2 ^ (locked.failures - 1))) end,
        started_at = case when locked.next = 'queued' then null else jobs.started_at end,
        finished_at = case when locked.next <> 'queued' then now() end,
        error_code = case when locked.next = 'failed' then %(cause)s::text end
    from locked where jobs.id = locked.id
    returning jobs.id, jobs.attempt, jobs.state
),
closed as (
    update attempts set ended_at = now(), outcome = case moved.state when 'canceled' then 'canceled' else 'failed' end,
        cause = %(cause)s::text, message = concat_ws(' ', nullif(%(message)s::text, ''), (
            select 'It has ' || vram_gib || ' GiB of GPU memory' || case
                when others_have_more then '; the job needs a worker with more.'
                else ', and no live worker that can do this has more.' end from cramped))
    from moved where attempts.job_id = moved.id and attempts.number = moved.attempt
),
blamed as (
    update slots set failed_jobs = array_append(slots.failed_jobs, locked.id)
    from locked where slots.worker_id = locked.worker_id and slots.slot = locked.slot and not %(final)s::boolean
        and not locked.id = any (slots.failed_jobs) and cardinality(slots.failed_jobs) < %(quarantine_after)s::integer
),
told as (
    insert into job_events (job_id, name, attempt)
    select id, case state when 'queued' then 'job.retried' else 'job.' || state end, attempt from moved
)
select moved.state, locked.worker_id, locked.slot from moved join locked using (id);

-- release :one
-- Gives a lease back unharmed: it counts in no budget and the job keeps its place in line.
with moved as (
    update jobs set state = case when jobs.cancel_requested_at is not null then 'canceled' else 'queued' end,
        worker_id = null, slot = null, claim_id = null, lease_token = null, phase = null, lease_expires_at = null,
        started_at = case when jobs.cancel_requested_at is not null then jobs.started_at end,
        finished_at = case when jobs.cancel_requested_at is not null then now() end
    from workers w
    where jobs.id = %(job_id)s::uuid and jobs.attempt = %(attempt)s::integer and jobs.lease_token = %(token)s::uuid
        and jobs.worker_id = %(worker_id)s::uuid
        and w.id = jobs.worker_id and w.revoked_at is null
    returning jobs.id, jobs.attempt, jobs.state, jobs.lane_id, jobs.tag
),
closed as (
    update attempts set ended_at = now(), outcome = case moved.state when 'canceled' then 'canceled' else 'released' end,
        cause = %(reason)s::text
    from moved where attempts.job_id = moved.id and attempts.number = moved.attempt
),
told as (
    insert into job_events (job_id, name, attempt)
    select id, case state when 'canceled' then 'job.canceled' else 'job.released' end, attempt from moved
)
select state, lane_id, tag from moved;

-- lock :run
-- Waits for whoever changes this job just now. What follows in the transaction sees the attempt that they made.
select from jobs where id = %(job_id)s::uuid and user_id = %(user_id)s::uuid for update;

-- cancel :one
-- What has not started is canceled at once (a lease that waits is simply lost); what runs gets the wish, for its agent.
-- Runs behind `lock`: a claim that commits while this waits would leave its attempt open.
with locked as materialized (
    select j.id, j.attempt, j.worker_id, j.state = 'running' as leased,
        j.state = 'queued' or j.phase <> 'started' as now_or_never, j.cancel_requested_at is null as first
    from jobs j
    where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid and j.state in ('queued', 'running')
    for update
),
moved as (
    update jobs set cancel_requested_at = coalesce(jobs.cancel_requested_at, now()),
        state = case when now_or_never then 'canceled' else jobs.state end,
        finished_at = case when now_or_never then now() end,
        worker_id = case when not now_or_never then jobs.worker_id end,
        slot = case when not now_or_never then jobs.slot end,
        claim_id = case when not now_or_never then jobs.claim_id end,
        lease_token = case when not now_or_never then jobs.lease_token end,
        phase = case when not now_or_never then jobs.phase end,
        lease_expires_at = case when not now_or_never then jobs.lease_expires_at end
    from locked where jobs.id = locked.id
    returning jobs.id, jobs.state
),
closed as (
    update attempts set ended_at = now(), outcome = 'canceled'
    from locked where locked.leased and locked.now_or_never
        and attempts.job_id = locked.id and attempts.number = locked.attempt
),
told as (
    insert into job_events (job_id, name, attempt)
    select moved.id, case moved.state when 'canceled' then 'job.canceled' else 'job.cancel_requested' end, locked.attempt
    from moved join locked using (id) where locked.first or moved.state = 'canceled'
)
select moved.id as job_id, moved.state, locked.worker_id from moved join locked using (id);

-- reap :many
-- Takes back at most `most` leases that have expired. An unstarted one counts in no budget; a started one is a loss,
-- and the third, or the second on another worker, makes the job poison. Their order is that of the index of leases,
-- lest a plan made on empty tables walks every job there ever was in the order of the ids.
with expired as materialized (
    select j.id, j.attempt, j.worker_id, j.slot, j.phase, j.phase = 'started' as loss,
        case when j.cancel_requested_at is not null then 'canceled'
            when j.phase = 'started' and (j.losses + 1 >= %(losses_max)s::integer or j.lost_by <> j.worker_id) then 'failed'
            else 'queued' end as next
    from jobs j
    where j.state = 'running' and j.lease_expires_at < now()
    order by j.worker_id, j.claim_id, j.slot limit %(most)s::integer for update skip locked
),
moved as (
    update jobs set state = expired.next,
        losses = jobs.losses + expired.loss::integer,
        lost_by = case when expired.loss then expired.worker_id else jobs.lost_by end,
        worker_id = null, slot = null, claim_id = null, lease_token = null, phase = null, lease_expires_at = null,
        started_at = case when expired.next <> 'queued' then jobs.started_at end,
        finished_at = case when expired.next <> 'queued' then now() end,
        error_code = case when expired.next = 'failed' then 'worker_lost' end
    from expired where jobs.id = expired.id
    returning jobs.id, jobs.attempt, jobs.state, jobs.lane_id, jobs.tag, expired.worker_id, expired.phase
),
closed as (
    update attempts set ended_at = now(), outcome = case when moved.phase = 'started' then 'lost' else 'released' end,
        cause = 'expired'
    from moved where attempts.job_id = moved.id and attempts.number = moved.attempt
),
told as (
    insert into job_events (job_id, name, attempt)
    select id, case state when 'queued' then 'job.reaped' else 'job.' || state end, attempt from moved
)
select id as job_id, attempt, state, lane_id, tag, worker_id, phase from moved;

-- shorten :run
-- The connection of a held heartbeat broke: what is left of this worker's leases is the grace, unless it is heard again.
with mine as materialized (
    select id from jobs where state = 'running' and worker_id = %(worker_id)s::uuid
),
held as materialized (
    select j.id from mine join jobs j on j.id = mine.id and j.worker_id = %(worker_id)s::uuid order by j.id for update of j
)
update jobs set lease_expires_at = least(jobs.lease_expires_at, now() + make_interval(secs => %(grace_seconds)s::float8))
from held where jobs.id = held.id;

-- wake_backoff :many
-- Retries whose backoff is over come to the head of their line: their tag is the lane's clock.
with due as materialized (
    select j.id from jobs j where j.state = 'queued' and j.due_at <= now()
    order by j.due_at limit %(most)s::integer for update skip locked
)
update jobs set tag = l.clock, due_at = null
from due, lanes l
where jobs.id = due.id and l.id = jobs.lane_id
returning jobs.lane_id, jobs.tag;

-- expire :many
-- What did not start within its max_wait never will.
with due as materialized (
    select j.id from jobs j where j.state = 'queued' and j.start_by <= now()
    order by j.start_by limit %(most)s::integer for update skip locked
),
moved as (
    update jobs set state = 'expired', finished_at = now(), error_code = 'max_wait', due_at = null
    from due where jobs.id = due.id
    returning jobs.id, jobs.attempt, jobs.lane_id
),
told as (
    insert into job_events (job_id, name, attempt) select id, 'job.expired', attempt from moved
)
select id as job_id, lane_id from moved;

-- worker_orders :one
-- What a worker that keeps a heartbeat for these jobs open must hear at once.
select w.drain_requested_at is not null as drain, w.revoked_at is not null as revoked,
    array(select j.id from jobs j where j.id = any (%(job_id)s::uuid[]) and j.worker_id = w.id
        and j.cancel_requested_at is not null) as cancel,
    array(select j.lease_token from jobs j where j.id = any (%(job_id)s::uuid[]) and j.worker_id = w.id) as tokens,
    now() as now
from workers w where w.id = %(worker_id)s::uuid;

-- seen_worker :run
-- A worker was heard; which of its slots were is told by `slots.seen` and `slots.report`.
update workers set last_seen_at = now(), draining = %(draining)s::boolean where id = %(worker_id)s::uuid;

-- past :one
-- How the attempt of this fence ended, when it has, and the state that the job had then: a repeated report gets the
-- answer that the first one got, whatever has become of the job since.
select a.outcome,
    case when a.outcome in ('succeeded', 'canceled') then a.outcome
        when a.outcome = 'failed' and j.state = 'failed' and j.attempt = a.number then 'failed'
        else 'queued' end as state
from attempts a join jobs j on j.id = a.job_id
where a.job_id = %(job_id)s::uuid and a.number = %(attempt)s::integer and a.lease_token = %(token)s::uuid
    and a.worker_id = %(worker_id)s::uuid and a.ended_at is not null;

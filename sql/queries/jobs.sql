-- Jobs as their users see them. Every statement names the user.

-- shown :many
-- Jobs, each asked for by its user, with their specs, their last progress and, once they have succeeded, their files; in
-- no order.
select j.id, is_test(j.user_id) as test, j.lane_id, j.state, j.phase, j.cancel_requested_at is not null as cancel_requested,
    j.tag, j.cost, st.charged, j.created_at, j.started_at, j.finished_at, j.error_code, s.spec::text as spec, s.metadata::text as metadata,
    p.value as progress, p.step as progress_step, p.steps as progress_steps,
    j.state = 'queued' and (select b.running from balances b where b.user_id = j.user_id) >= j.running_max as capped,
    case when j.state = 'succeeded' then (
        select jsonb_agg(jsonb_build_object('index', a.index, 'mime_type', a.mime_type, 'width', a.width,
            'height', a.height, 'bytes', a.bytes, 'sha256', encode(a.sha256, 'hex')) order by a.index)::text
        from artifacts a where a.job_id = j.id and a.attempt = j.attempt and a.visibility <> 'quarantined') end as artifacts,
    case when j.state = 'succeeded' then (
        select v.made::text from provenance v where v.job_id = j.id and v.attempt = j.attempt) end as provenance
from unnest(%(user_id)s::uuid[], %(job_id)s::uuid[]) as asked (user_id, job_id)
join jobs j on j.id = asked.job_id and j.user_id = asked.user_id
join job_specs s on s.job_id = j.id
left join settlements st on st.job_id = j.id
left join job_progress p on p.job_id = j.id and p.attempt = j.attempt and j.state = 'running';

-- newest :many
-- Ids of a user's jobs that fit, the newest first, among the first `reach` of those between `low` and `high`, which are
-- read off the index and not counted. The user is asked for as an array, for else a plan might take the primary key,
-- which is in the same order, and walk everybody's jobs. `status` is what the public calls it; null is all, for every
-- filter.
select j.id from (
    select w.user_id, w.id, w.lane_id, w.state, w.phase, w.cancel_requested_at, w.created_at from jobs w
    where w.user_id = any (array[%(user_id)s::uuid]) and w.id > %(low)s::uuid and w.id < %(high)s::uuid
    order by w.user_id, w.id desc
    limit %(reach)s::integer
) j
where (%(lane_id)s::integer[] is null or j.lane_id = any (%(lane_id)s::integer[]))
    and (%(status)s::text is null or %(status)s::text = case
        when j.state <> 'running' then j.state
        when j.cancel_requested_at is not null then 'canceling'
        when j.phase = 'started' then 'running'
        else 'queued' end)
    and (%(created_after)s::timestamptz is null or j.created_at >= %(created_after)s::timestamptz)
    and (%(created_before)s::timestamptz is null or j.created_at < %(created_before)s::timestamptz)
    and (%(metadata)s::jsonb is null or (
        select s.metadata @> %(metadata)s::jsonb from job_specs s where s.job_id = j.id))
order by j.user_id, j.id desc
limit %(most)s::integer;

-- reach_newest :value
-- The last of the jobs that such a page looked at; no row when it has seen the last one there is.
select w.id from jobs w
where w.user_id = any (array[%(user_id)s::uuid]) and w.id > %(low)s::uuid and w.id < %(high)s::uuid
order by w.user_id, w.id desc
offset greatest(0, %(reach)s::integer - 1) limit 1;

-- oldest :many
-- Ids of a user's jobs that fit, the oldest first, among the first `reach` of those between `low` and `high`, which are
-- read off the index and not counted. The user is asked for as an array, for else a plan might take the primary key,
-- which is in the same order, and walk everybody's jobs. `status` is what the public calls it; null is all, for every
-- filter.
select j.id from (
    select w.user_id, w.id, w.lane_id, w.state, w.phase, w.cancel_requested_at, w.created_at from jobs w
    where w.user_id = any (array[%(user_id)s::uuid]) and w.id > %(low)s::uuid and w.id < %(high)s::uuid
    order by w.user_id desc, w.id
    limit %(reach)s::integer
) j
where (%(lane_id)s::integer[] is null or j.lane_id = any (%(lane_id)s::integer[]))
    and (%(status)s::text is null or %(status)s::text = case
        when j.state <> 'running' then j.state
        when j.cancel_requested_at is not null then 'canceling'
        when j.phase = 'started' then 'running'
        else 'queued' end)
    and (%(created_after)s::timestamptz is null or j.created_at >= %(created_after)s::timestamptz)
    and (%(created_before)s::timestamptz is null or j.created_at < %(created_before)s::timestamptz)
    and (%(metadata)s::jsonb is null or (
        select s.metadata @> %(metadata)s::jsonb from job_specs s where s.job_id = j.id))
order by j.user_id desc, j.id
limit %(most)s::integer;

-- reach_oldest :value
-- The last of the jobs that such a page looked at; no row when it has seen the last one there is.
select w.id from jobs w
where w.user_id = any (array[%(user_id)s::uuid]) and w.id > %(low)s::uuid and w.id < %(high)s::uuid
order by w.user_id desc, w.id
offset greatest(0, %(reach)s::integer - 1) limit 1;

-- preview :value
-- The last preview of a running job.
select p.preview from jobs j
join job_progress p on p.job_id = j.id and p.attempt = j.attempt
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid and j.state = 'running' and p.preview is not null;

-- accepted :value
-- The job that an order became before, when it came with the same key.
select k.job_id from idempotency_keys k
where k.user_id = %(user_id)s::uuid and k.key = %(key)s::text and k.request_sha256 = %(request_sha256)s::bytea;

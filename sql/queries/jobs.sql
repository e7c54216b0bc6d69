-- Jobs as their users see them. Every statement names the user.

-- get :one
-- One job with its spec, its last progress and, once it has succeeded, its files.
select j.id, j.lane_id, j.state, j.phase, j.cancel_requested_at is not null as cancel_requested, j.tag, j.cost,
    st.charged, j.created_at, j.started_at, j.finished_at, j.error_code, s.spec::text as spec, s.metadata::text as metadata,
    p.value as progress, p.step as progress_step, p.steps as progress_steps,
    j.state = 'queued' and (select b.running from balances b where b.user_id = j.user_id) >= j.running_max as capped,
    case when j.state = 'succeeded' then (
        select jsonb_agg(jsonb_build_object('index', a.index, 'mime_type', a.mime_type, 'width', a.width,
            'height', a.height, 'bytes', a.bytes, 'sha256', encode(a.sha256, 'hex')) order by a.index)::text
        from artifacts a where a.job_id = j.id and a.attempt = j.attempt and a.visibility <> 'quarantined') end as artifacts
from jobs j
join job_specs s on s.job_id = j.id
left join settlements st on st.job_id = j.id
left join job_progress p on p.job_id = j.id and p.attempt = j.attempt and j.state = 'running'
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid;

-- page :many
-- A user's jobs, the newest first, from below a given one; `status` is what the public calls it, null for all.
select j.id, j.lane_id, j.state, j.phase, j.cancel_requested_at is not null as cancel_requested, j.tag, j.cost,
    st.charged, j.created_at, j.started_at, j.finished_at, j.error_code, s.spec::text as spec, s.metadata::text as metadata,
    p.value as progress, p.step as progress_step, p.steps as progress_steps,
    j.state = 'queued' and (select b.running from balances b where b.user_id = j.user_id) >= j.running_max as capped,
    case when j.state = 'succeeded' then (
        select jsonb_agg(jsonb_build_object('index', a.index, 'mime_type', a.mime_type, 'width', a.width,
            'height', a.height, 'bytes', a.bytes, 'sha256', encode(a.sha256, 'hex')) order by a.index)::text
        from artifacts a where a.job_id = j.id and a.attempt = j.attempt and a.visibility <> 'quarantined') end as artifacts
from jobs j
join job_specs s on s.job_id = j.id
left join settlements st on st.job_id = j.id
left join job_progress p on p.job_id = j.id and p.attempt = j.attempt and j.state = 'running'
where j.user_id = %(user_id)s::uuid and j.id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    and (%(status)s::text is null or %(status)s::text = case
        when j.state <> 'running' then j.state
        when j.cancel_requested_at is not null then 'canceling'
        when j.phase = 'started' then 'running'
        else 'queued' end)
order by j.id desc
limit %(most)s::integer;

-- preview :value
-- The last preview of a running job.
select p.preview from jobs j
join job_progress p on p.job_id = j.id and p.attempt = j.attempt
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid and j.state = 'running' and p.preview is not null;

-- accepted :value
-- The job that an order became before, when it came with the same key.
select k.job_id from idempotency_keys k
where k.user_id = %(user_id)s::uuid and k.key = %(key)s::text and k.request_sha256 = %(request_sha256)s::bytea;

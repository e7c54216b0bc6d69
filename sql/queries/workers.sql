-- Workers: how they come to have a credential, who they are, how the operator sees them.

-- add_token :run
-- A one-time token, by its hash, good for so many hours.
insert into enrolment_tokens (id, secret_sha256, name, trust, expires_at)
values (%(id)s::text, %(secret_sha256)s::bytea, %(name)s::text, %(trust)s::text,
    now() + make_interval(secs => %(lifetime_seconds)s::float8));

-- lock_token :one
-- The token and what became of it, held still while a worker enrols with it.
select t.secret_sha256, t.name, t.trust, t.expires_at > now() as live, t.worker_id, w.name as worker_name,
    w.secret_sha256 as worker_secret_sha256, w.revoked_at is not null as worker_revoked
from enrolment_tokens t left join workers w on w.id = t.worker_id
where t.id = %(id)s::text
for update of t;

-- names_like :many
-- Names of live workers that this one might collide with.
select name from workers
where revoked_at is null and starts_with(name, %(stem)s::text);

-- add :one
-- A new worker; no row when another one has this secret.
insert into workers (name, secret_sha256, trust, agent_version)
values (%(name)s::text, %(secret_sha256)s::bytea, %(trust)s::text, %(agent_version)s::text)
on conflict (secret_sha256) do nothing
returning id;

-- use_token :run
-- The token belongs to this worker now.
update enrolment_tokens set used_at = now(), worker_id = %(worker_id)s::uuid where id = %(id)s::text;

-- note_version :run
-- Which agent a worker runs; nothing is written while it is the same.
update workers set agent_version = %(agent_version)s::text
where id = %(worker_id)s::uuid and revoked_at is null and agent_version <> %(agent_version)s::text;

-- all :many
-- Every worker with how it is, for the operator; the sandbox is none of theirs. `live` = heard within a lease.
select w.id, w.name, w.trust, w.agent_version, w.enrolled_at, w.last_seen_at,
    coalesce(w.last_seen_at > now() - make_interval(secs => %(lease_seconds)s::float8), false) as live,
    w.draining or w.drain_requested_at is not null as draining, w.revoked_at,
    (select count(*)::integer from jobs j where j.worker_id = w.id and j.state = 'running') as leases
from workers w
where w.trust <> 'sandbox' and (w.revoked_at is null or %(with_revoked)s::boolean)
order by w.id;

-- slots :many
-- Every slot of the live workers: what it serves, what it has loaded, how it is.
select s.worker_id, s.slot,
    array(select l.kind || '/' || l.model from lanes l where l.id = any (s.lane_ids)
        group by l.kind, l.model order by min(l.id)) as lanes,
    loaded.model as loaded, s.vram_gib, s.healthy, s.gpu, s.quarantined_at, s.last_seen_at,
    array(select j.id from jobs j where j.worker_id = s.worker_id and j.slot = s.slot and j.state = 'running'
        order by j.started_at nulls last, j.id) as jobs
from slots s
join workers w on w.id = s.worker_id
left join lanes loaded on loaded.id = s.loaded_lane_id
where w.revoked_at is null and w.trust <> 'sandbox'
order by s.worker_id, s.slot;

-- named :many
-- The live workers of this id or name.
select id, name, trust from workers
where revoked_at is null and trust <> 'sandbox' and (id::text = %(wanted)s::text or name = %(wanted)s::text);

-- end_leases :many
-- Takes back every lease of a worker that is revoked; nothing counts in a budget, the fault is not the job's.
with mine as materialized (
    select id from jobs where state = 'running' and worker_id = %(worker_id)s::uuid
),
held as materialized (
    select j.id, j.attempt, j.cancel_requested_at is not null as cancel
    from mine join jobs j on j.id = mine.id and j.worker_id = %(worker_id)s::uuid
    order by j.id for update of j
),
moved as (
    update jobs set state = case when held.cancel then 'canceled' else 'queued' end,
        worker_id = null, slot = null, claim_id = null, lease_token = null, phase = null, lease_expires_at = null,
        started_at = case when held.cancel then jobs.started_at end,
        finished_at = case when held.cancel then now() end
    from held where jobs.id = held.id
    returning jobs.id, jobs.attempt, jobs.state, jobs.lane_id, jobs.tag
),
closed as (
    update attempts set ended_at = now(), outcome = case moved.state when 'canceled' then 'canceled' else 'released' end,
        cause = 'revoked'
    from moved where attempts.job_id = moved.id and attempts.number = moved.attempt
),
told as (
    insert into job_events (job_id, name, attempt)
    select id, case state when 'canceled' then 'job.canceled' else 'job.released' end, attempt from moved
)
select id as job_id, state, lane_id, tag from moved;

-- revoke :one
-- Ends a worker's right to do anything; in one transaction with `end_leases`.
update workers set revoked_at = coalesce(revoked_at, now()) where id = %(worker_id)s::uuid returning id;

-- drain :one
-- Finish what is held, claim no more.
update workers set drain_requested_at = coalesce(drain_requested_at, now())
where id = %(worker_id)s::uuid and revoked_at is null returning id;

-- resume :one
-- Take work again after a drain. An agent that drains of its own accord says so again with its next heartbeat.
update workers set drain_requested_at = null, draining = false where id = %(worker_id)s::uuid and revoked_at is null returning id;

-- resume_slots :run
-- Give a worker's quarantined slots another chance.
update slots set quarantined_at = null, failed_jobs = '{}' where worker_id = %(worker_id)s::uuid;

-- What the operator's command line reads and the switches that it turns.

-- jobs :many
-- The newest jobs, of everybody (but for tests) or of one user, in any state or in one.
select j.id, u.name as user, l.kind, l.model, j.state, j.phase, j.cancel_requested_at is not null as canceling,
    w.name as worker, p.value as progress, j.attempt, j.created_at, j.started_at, j.finished_at, j.error_code
from jobs j
join users u on u.id = j.user_id
join lanes l on l.id = j.lane_id
left join workers w on w.id = j.worker_id
left join job_progress p on p.job_id = j.id and p.attempt = j.attempt
where (%(user_id)s::uuid is null and not is_test(j.user_id) or j.user_id = %(user_id)s::uuid) and (%(state)s::text is null or j.state = %(state)s::text)
order by j.id desc
limit %(most)s::integer;

-- job :one
-- One job, whosever it is.
select j.id, u.name as user, l.kind, l.model, j.state, j.phase, j.cancel_requested_at is not null as canceling,
    w.name as worker, p.value as progress, j.attempt, j.created_at, j.started_at, j.finished_at, j.error_code,
    j.user_id, j.lane_id, j.tag, j.cost, j.failures, j.losses, j.due_at, j.start_by, j.lease_expires_at
from jobs j
join users u on u.id = j.user_id
join lanes l on l.id = j.lane_id
left join workers w on w.id = j.worker_id
left join job_progress p on p.job_id = j.id and p.attempt = j.attempt
where j.id = %(job_id)s::uuid;

-- attempts :many
-- Every lease that a job has had.
select a.number, w.name as worker, a.slot, a.offered_at, a.started_at, a.ended_at, a.outcome, a.cause, a.message, a.joules
from attempts a join workers w on w.id = a.worker_id
where a.job_id = %(job_id)s::uuid
order by a.number;

-- files :many
-- What a job has produced that its customer sees.
select f.index, f.mime_type, f.width, f.height, f.bytes, encode(f.sha256, 'hex') as sha256
from artifacts f join jobs j on j.id = f.job_id and j.attempt = f.attempt
where f.job_id = %(job_id)s::uuid and j.state = 'succeeded'
order by f.index;

-- lanes :many
-- Every lane but the sandbox's, with what waits and runs in it, and how many live slots serve it.
select l.id, l.kind, l.model, l.task, l.vram_gib,
    l.paused_at is not null as paused, m.paused_at is not null as model_paused,
    (select count(*) from jobs j where j.lane_id = l.id and j.state = 'queued' and j.tag is not null)::integer as queued,
    (select extract(epoch from now() - min(j.created_at)) from jobs j
        where j.lane_id = l.id and j.state = 'queued' and j.tag is not null)::float8 as oldest_seconds,
    (select count(*) from jobs j where j.lane_id = l.id and j.state = 'queued' and j.due_at is not null)::integer as backoff,
    (select count(*) from jobs j where j.lane_id = l.id and j.state = 'running')::integer as leased,
    (select count(*) from slots s join workers w on w.id = s.worker_id
        where l.id = any (s.lane_ids) and w.revoked_at is null and s.quarantined_at is null
            and w.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8))::integer as live_slots
from lanes l join models m on m.name = l.model and m.kind = l.kind
where not l.sandbox
order by l.kind, l.model, l.task, l.vram_gib;

-- submits :one
-- Whether new orders are taken.
select s.paused_at, s.reason from switches s where s.name = 'submits';

-- pause_submits :one
-- Take no new orders. What is queued still runs.
update switches set paused_at = coalesce(paused_at, now()), reason = %(reason)s::text where name = 'submits'
returning paused_at, reason;

-- resume_submits :one
-- Take orders again.
update switches set paused_at = null, reason = '' where name = 'submits' returning paused_at, reason;

-- pause_model :many
-- Neither order nor start anything of this model.
update models set paused_at = case when %(paused)s::boolean then coalesce(paused_at, now()) end
where name = %(model)s::text
returning kind;

-- pause_lane :many
-- Neither order nor start anything of this lane.
update lanes set paused_at = case when %(paused)s::boolean then coalesce(paused_at, now()) end
where id = %(lane_id)s::integer
returning id;

-- now :value
-- The only wall clock.
select now();

-- durability :one
-- What the server promises about a commit, and who follows it.
select current_setting('server_version') as version, current_setting('server_version_num')::integer as version_number,
    current_setting('fsync') = 'on' as fsync, current_setting('full_page_writes') = 'on' as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('synchronous_standby_names') <> '' as waits_for_standby,
    (select count(*) from pg_stat_replication)::integer as standbys;

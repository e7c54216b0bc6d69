-- Provenance: what the files of an attempt were made with, and what its run took from the GPU.

-- add :run
-- Notes it for those who hold their lease. The commit does not wait for the disk: the completion that follows does, and
-- what was written before it is on the disk with it.
with eased as materialized (select set_config('synchronous_commit', 'off', true) as mode),
said as materialized (
    select j.id, j.attempt, m.made, m.joules
    from eased
    cross join unnest(%(job_id)s::uuid[], %(attempt)s::integer[], %(token)s::uuid[], %(worker_id)s::uuid[],
        %(made)s::text[], %(joules)s::float8[]) as m (job_id, attempt, token, worker_id, made, joules)
    join jobs j on j.id = m.job_id and j.state = 'running' and j.attempt = m.attempt and j.lease_token = m.token
        and j.worker_id = m.worker_id
    join workers w on w.id = j.worker_id and w.revoked_at is null
    order by j.id
),
measured as (
    update attempts a set joules = said.joules
    from said
    where a.job_id = said.id and a.number = said.attempt and said.joules is not null and a.ended_at is null
)
insert into provenance (job_id, attempt, made)
select id, attempt, made::jsonb from said where made is not null
on conflict (job_id, attempt) do nothing;

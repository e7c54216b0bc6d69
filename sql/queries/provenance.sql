-- Provenance: what the files of an attempt were made with.

-- add :run
-- Notes it for those who hold their lease. The commit does not wait for the disk: the completion that follows does, and
-- what was written before it is on the disk with it.
with eased as materialized (select set_config('synchronous_commit', 'off', true) as mode)
insert into provenance (job_id, attempt, made)
select j.id, j.attempt, m.made::jsonb
from eased
cross join unnest(%(job_id)s::uuid[], %(attempt)s::integer[], %(token)s::uuid[], %(worker_id)s::uuid[], %(made)s::text[])
    as m (job_id, attempt, token, worker_id, made)
join jobs j on j.id = m.job_id and j.state = 'running' and j.attempt = m.attempt and j.lease_token = m.token
    and j.worker_id = m.worker_id
join workers w on w.id = j.worker_id and w.revoked_at is null
order by j.id
on conflict (job_id, attempt) do nothing;

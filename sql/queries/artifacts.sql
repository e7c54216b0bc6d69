-- Artifacts: what an agent may store under a live lease, what may be seen of a job that succeeded, what is erased.

-- announced :one
-- How many files this fence may upload, and whether this one has arrived. No row: the lease is lost.
select (job_specs.spec ->> 'count')::integer as count,
    exists (select from artifacts a
        where a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint) as there
from jobs j
join workers w on w.id = j.worker_id and w.revoked_at is null
join job_specs on job_specs.job_id = j.id
where j.id = %(job_id)s::uuid and j.state = 'running' and j.attempt = %(attempt)s::integer
    and j.lease_token = %(token)s::uuid and j.worker_id = %(worker_id)s::uuid;

-- there :one
-- A file that has arrived before.
select key, mime_type, width, height, bytes, sha256 from artifacts
where job_id = %(job_id)s::uuid and attempt = %(attempt)s::integer and index = %(index)s::smallint;

-- add :one
-- The row of a file that is on disk, if the fence still holds; the lock keeps a completion from slipping in between.
-- Two uploads of one index: the first one's row comes back to both.
with lease as materialized (
    select j.id, j.attempt from jobs j join workers w on w.id = j.worker_id and w.revoked_at is null
    where j.id = %(job_id)s::uuid and j.state = 'running' and j.attempt = %(attempt)s::integer
        and j.lease_token = %(token)s::uuid and j.worker_id = %(worker_id)s::uuid
    for share of j
)
insert into artifacts (job_id, attempt, index, key, mime_type, width, height, bytes, sha256)
select lease.id, lease.attempt, %(index)s::smallint, %(key)s::text, %(mime_type)s::text, %(width)s::integer,
    %(height)s::integer, %(bytes)s::bigint, %(sha256)s::bytea
from lease
on conflict (job_id, attempt, index) do update set index = excluded.index
returning key, mime_type, width, height, bytes, sha256;

-- visible :one
-- A file of a job that succeeded, found by the attempt that did; `key` is null when it has been deleted.
select a.key, a.mime_type, a.bytes, a.sha256, (job_specs.spec ->> 'count')::integer as count, u.status = 'suspended' as suspended
from jobs j
join users u on u.id = j.user_id
join job_specs on job_specs.job_id = j.id
left join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
    and a.visibility <> 'quarantined'
where j.id = %(job_id)s::uuid and j.state = 'succeeded';

-- owned :one
-- The same for the owner of the job, and for nobody else.
select a.key, a.mime_type, a.bytes, a.sha256, (job_specs.spec ->> 'count')::integer as count, false as suspended
from jobs j
join job_specs on job_specs.job_id = j.id
left join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
    and a.visibility <> 'quarantined'
where j.id = %(job_id)s::uuid and j.state = 'succeeded' and j.user_id = %(user_id)s::uuid;

-- lock_job :one
-- The state of a job of this user, held still while it is erased, and whether any of its files must be kept.
select j.state,
    exists (select from artifacts a where a.job_id = j.id and a.legal_hold) as legal_hold
from jobs j where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid
for update of j;

-- discard_of_job :many
-- Forget the files of a job, those of stale attempts too; what is left is the note that they are to go.
with gone as (
    delete from artifacts where job_id = %(job_id)s::uuid returning key
)
insert into discards (key) select key from gone returning key;

-- erase_spec :run
-- What a person typed is overwritten; sizes, steps and cost stay, because the accounting needs them.
update job_specs
set spec = without_words(spec), metadata = '{}', webhook_url = null
where job_id = %(job_id)s::uuid;

-- erase_rendered :run
-- The same for the prompt as it was rendered.
update jobs set prompt_rendered = null where id = %(job_id)s::uuid and prompt_rendered is not null;

-- erase_messages :run
-- What engines said may repeat the prompt.
update attempts set message = null where job_id = %(job_id)s::uuid and message is not null;

-- erase_progress :run
-- The last preview.
delete from job_progress where job_id = %(job_id)s::uuid;

-- signing_keys :many
-- Every key, the one that signs first: the newest that every process has had the time to read, else the oldest.
select key, extract(epoch from clock_timestamp())::double precision as now
from signing_keys
order by (created_at > now() - make_interval(secs => %(settle_seconds)s::float8)),
    case when created_at > now() - make_interval(secs => %(settle_seconds)s::float8) then id else -id end;

-- lock_signing_keys :run
-- One process at a time makes the first key; the lock goes with the transaction.
select pg_advisory_xact_lock(hashtext('signing_keys'));

-- add_first_signing_key :run
-- Adds a key if there is none.
insert into signing_keys (key)
select %(key)s::bytea where not exists (select from signing_keys);

-- Files: what an agent may write under a live lease, what a customer may read of a job that succeeded, what is erased.

-- signing_keys :many
-- Every key, the one that signs first: the newest that every process has had the time to read, else the oldest.
select key, extract(epoch from clock_timestamp())::double precision as now
from signing_keys
order by (created_at > now() - make_interval(secs => %(settle_seconds)s::double precision)),
    case when created_at > now() - make_interval(secs => %(settle_seconds)s::double precision) then id else -id end

-- add_first_signing_key :run
-- Makes a key if there is none; of two processes that start at once, one waits and finds it made.
with alone as materialized (select pg_advisory_xact_lock(hashtext('signing_keys'))),
    existing as materialized (select count(*) as keys from alone)
insert into signing_keys (key)
select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
from existing
where not exists (select from signing_keys)


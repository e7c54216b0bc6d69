-- Files: what an agent may write under a live lease, what a customer may read of a job that succeeded, what is erased.

-- signing_keys :many
-- Every key, the one that signs first: the newest that every process has had the time to read, else the oldest.
select key, extract(epoch from clock_timestamp())::double precision as now
from signing_keys
order by (created_at > now() - make_interval(secs => %(settle_seconds)s::double precision)),
    case when created_at > now() - make_interval(secs => %(settle_seconds)s::double precision) then id else -id end

-- lock_signing_keys :run
-- One process at a time makes the first key; the lock goes with the transaction.
select pg_advisory_xact_lock(hashtext('signing_keys'))

-- add_first_signing_key :run
-- Adds a key if there is none.
insert into signing_keys (key)
select %(key)s::bytea where not exists (select from signing_keys)


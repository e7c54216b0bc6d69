-- Bearer credentials: looked up by id or hash, never by the secret itself.

-- find_key :one
-- A live key with what its user's status is; whether the secret fits is compared outside.
select k.id, k.secret_sha256, k.user_id, u.status as user_status, u.reads_per_minute, k.scopes, k.providers, k.networks, k.models,
    extract(epoch from k.expires_at - now())::float8 as expires_in
from api_keys k left join user_plans u on u.user_id = k.user_id
where k.id = %(id)s::text and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    and (u.status is null or u.status <> 'deleted');

-- find_worker :one
-- A worker that has not been revoked.
select w.id, w.name, w.trust from workers w
where w.secret_sha256 = %(secret_sha256)s::bytea and w.revoked_at is null;

-- add_key :value
-- Makes a key.
insert into api_keys (id, secret_sha256, user_id, name, scopes, providers, models, expires_at)
values (%(id)s::text, %(secret_sha256)s::bytea, %(user_id)s::uuid, %(name)s::text, %(scopes)s::text[],
    %(providers)s::text[], %(models)s::text[], now() + make_interval(secs => %(expires_seconds)s::float8))
returning id;

-- list_keys :many
-- The keys of one user, or (with null) of the services.
select k.id, k.name, k.scopes, k.providers, k.created_at, k.expires_at, k.last_used_at, k.revoked_at
from api_keys k where k.user_id is not distinct from %(user_id)s::uuid
order by k.created_at desc, k.id
limit 1000;

-- revoke_key :value
-- Ends a key for good.
update api_keys set revoked_at = now() where id = %(id)s::text and revoked_at is null returning id;

-- used :run
-- Notes that keys were used; in the order of their ids, and past rows that another process is writing.
update api_keys set last_used_at = now()
from (select k.id from api_keys k where k.id = any (%(id)s::text[]) order by k.id for update skip locked) fresh
where api_keys.id = fresh.id;

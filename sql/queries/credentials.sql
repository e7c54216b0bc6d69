-- Bearer credentials: looked up by id or hash, never by the secret itself.

-- find_key :one
-- A live key with what its user's status is, for a test key that of whom it tests for; whether the secret fits is
-- compared outside.
select k.id, k.secret_sha256, k.old_secret_sha256, extract(epoch from k.old_expires_at - now())::float8 as old_expires_in,
    k.user_id, coalesce(tester.status, u.status) as user_status, u.reads_per_minute, k.scopes, k.providers, k.networks, k.models,
    k.daily_cap, k.origins, extract(epoch from k.expires_at - now())::float8 as expires_in,
    coalesce((select bool_and(o.embed_metadata) from users o
        where o.id = k.user_id or o.id = (select t.test_of from users t where t.id = k.user_id)), true) as embed_metadata
from api_keys k
left join user_plans u on u.user_id = k.user_id
left join lateral (
    select coalesce(into_whom.status, mine.status) as status
    from users t join users mine on mine.id = t.test_of left join users into_whom on into_whom.id = mine.merged_into
    where t.id = k.user_id
) tester on is_test(k.user_id)
where k.id = %(id)s::text and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    and (u.status is null or coalesce(tester.status, u.status) <> 'deleted');

-- origins :many
-- Every web site whose pages may use some live key.
select distinct origin from api_keys k cross join unnest(k.origins) as origin
where k.origins is not null and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
order by origin limit %(most)s::integer;

-- find_worker :one
-- A worker that has not been revoked.
select w.id, w.name, w.trust from workers w
where w.secret_sha256 = %(secret_sha256)s::bytea and w.revoked_at is null and w.trust <> 'sandbox';

-- add_key :value
-- Makes a key.
insert into api_keys (id, secret_sha256, user_id, name, scopes, providers, models, networks, origins, daily_cap, expires_at)
values (%(id)s::text, %(secret_sha256)s::bytea, %(user_id)s::uuid, %(name)s::text, %(scopes)s::text[],
    %(providers)s::text[], %(models)s::text[], %(networks)s::text[]::cidr[], %(origins)s::text[], %(daily_cap)s::integer,
    now() + make_interval(secs => %(expires_seconds)s::float8))
returning id;

-- list_keys :many
-- The keys of one user, those for tests too, or (with null) of the services.
select k.id, k.name, k.user_id is not null and is_test(k.user_id) as test, k.scopes, k.providers, k.models,
    k.networks::text[] as networks, k.origins, k.daily_cap,
    case when k.daily_cap is not null then coalesce((
        select s.tokens from key_spending s where s.key_id = k.id and s.day = utc_day(now())), 0) end as ordered_today,
    k.created_at, k.expires_at, k.last_used_at, k.rotated_at, k.old_expires_at, k.old_used_at, k.revoked_at
from api_keys k
where k.user_id is not distinct from %(user_id)s::uuid or k.user_id in (
    select t.id from users o join users t on t.test_of = o.id
    where o.id = %(user_id)s::uuid or o.merged_into = %(user_id)s::uuid)
order by k.created_at desc, k.id
limit 1000;

-- lock_key :one
-- A live key that a user may manage: one's own, or one of one's tests. Without a user: any key. Held still.
select k.id, k.user_id, k.scopes, k.models, k.networks, k.daily_cap, extract(epoch from k.expires_at - now())::float8 as expires_in
from api_keys k
where k.id = %(id)s::text and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    and (%(user_id)s::uuid is null or k.user_id = %(user_id)s::uuid or k.user_id in (
        select t.id from users o join users t on t.test_of = o.id
        where o.id = %(user_id)s::uuid or o.merged_into = %(user_id)s::uuid))
for update of k;

-- rotate_key :value
-- Gives a key another secret; the one that it had opens for a while yet, those before it no more.
update api_keys set rotated_at = now(), secret_sha256 = %(secret_sha256)s::bytea, old_used_at = null,
    old_secret_sha256 = case when %(overlap_seconds)s::float8 > 0 then secret_sha256 end,
    old_expires_at = case when %(overlap_seconds)s::float8 > 0 then now() + make_interval(secs => %(overlap_seconds)s::float8) end
where id = %(id)s::text returning id;

-- revoke_key :value
-- Ends a key for good.
update api_keys set revoked_at = now() where id = %(id)s::text and revoked_at is null returning id;

-- live_keys :value
-- How many keys a user has that could still be used; their number is held still.
select count(*)::integer from api_keys k
join (select u.id from users u where u.id = %(user_id)s::uuid for no key update) mine on mine.id = k.user_id
where k.revoked_at is null and (k.expires_at is null or k.expires_at > now());

-- ensure_twin :value
-- Makes the user in whose name a user's test keys order; afterwards there is one.
insert into users (id, test_of, name, plan, time_zone)
select twin_of(u.id), u.id, 'test:' || u.id, 'test', u.time_zone from users u
where u.id = %(user_id)s::uuid and u.status = 'active'
on conflict (id) do update set test_of = excluded.test_of
returning id;

-- spend :value
-- Counts what a key with a daily cap orders; no row when it would be more than the cap.
insert into key_spending as s (key_id, day, tokens)
select %(id)s::text, utc_day(now()), %(cost)s::integer where %(cost)s::integer <= %(daily_cap)s::integer
on conflict (key_id) do update set day = excluded.day,
    tokens = case s.day when excluded.day then s.tokens else 0 end + excluded.tokens
where case s.day when excluded.day then s.tokens else 0 end + excluded.tokens <= %(daily_cap)s::integer
returning tokens;

-- spent :value
-- What a key with a daily cap has ordered today.
select coalesce((select s.tokens from key_spending s where s.key_id = %(id)s::text and s.day = utc_day(now())), 0)::integer;

-- unspend :run
-- What was counted came to nothing.
update key_spending set tokens = greatest(0, tokens - %(cost)s::integer)
where key_id = %(id)s::text and day = utc_day(now());

-- used :run
-- Notes that keys were used, some by the secret from before their rotation; in the order of their ids, and past rows
-- that another process is writing.
update api_keys set last_used_at = now(),
    old_used_at = case when api_keys.id = any (%(old)s::text[]) then now() else api_keys.old_used_at end
from (select k.id from api_keys k where k.id = any (%(id)s::text[]) order by k.id for update skip locked) fresh
where api_keys.id = fresh.id;

-- Sessions: browsers that are signed in, and the links that sign somebody in once.

-- find :one
-- The live session behind a cookie, for whom its user has become, and whether they are an operator.
select s.id::text as id, u.id as user_id, u.status as user_status, p.reads_per_minute, u.embed_metadata,
    exists (
        select from api_keys k
        where k.user_id = u.id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            and 'admin' = any (k.scopes)) as is_operator,
    extract(epoch from least(s.expires_at, s.last_used_at + make_interval(secs => %(idle_seconds)s::float8)) - now())::float8
        as expires_in
from sessions s
join users mine on mine.id = s.user_id
join users u on u.id = coalesce(mine.merged_into, mine.id)
join user_plans p on p.user_id = u.id
where s.secret_sha256 = %(secret_sha256)s::bytea and u.status <> 'deleted' and s.expires_at > now()
    and s.last_used_at > now() - make_interval(secs => %(idle_seconds)s::float8);

-- add :one
-- Begins a session of an active user; no row for anybody else.
insert into sessions (user_id, secret_sha256, way, device, expires_at)
select u.id, %(secret_sha256)s::bytea, %(way)s::text, %(device)s::text, now() + make_interval(secs => %(seconds)s::float8)
from users u where u.id = %(user_id)s::uuid and u.status = 'active'
returning id, expires_at;

-- make_room :run
-- Ends the sessions of a user that were used least lately, but for so many.
delete from sessions where id in (
    select s.id from sessions s where s.user_id = %(user_id)s::uuid or s.user_id in (
        select u.id from users u where u.merged_into = %(user_id)s::uuid)
    order by s.last_used_at desc, s.id desc offset %(most)s::integer);

-- list :many
-- The live sessions of a user, the one used last first.
select s.id, s.way, s.device, s.created_at, s.expires_at, s.last_used_at
from sessions s
where (s.user_id = %(user_id)s::uuid or s.user_id in (select u.id from users u where u.merged_into = %(user_id)s::uuid))
    and s.expires_at > now() and s.last_used_at > now() - make_interval(secs => %(idle_seconds)s::float8)
order by s.last_used_at desc, s.id desc;

-- end :value
-- Ends one session of a user.
delete from sessions
where id = %(session_id)s::uuid and (user_id = %(user_id)s::uuid
    or user_id in (select u.id from users u where u.merged_into = %(user_id)s::uuid))
returning id;

-- end_all :many
-- Ends every session of a user.
delete from sessions
where user_id = %(user_id)s::uuid or user_id in (select u.id from users u where u.merged_into = %(user_id)s::uuid)
returning id;

-- used :run
-- Notes that sessions were used, in the order of their ids, and past rows that another process is writing.
update sessions set last_used_at = now()
from (select s.id from sessions s where s.id = any (%(id)s::uuid[]) order by s.id for update skip locked) fresh
where sessions.id = fresh.id;

-- add_link :value
-- Gives an active user a new link in place of the last one.
insert into login_links (user_id, token_sha256, expires_at)
select u.id, %(token_sha256)s::bytea, now() + make_interval(secs => %(seconds)s::float8)
from users u where u.id = %(user_id)s::uuid and u.status = 'active'
on conflict (user_id) do update set token_sha256 = excluded.token_sha256, expires_at = excluded.expires_at
returning expires_at;

-- look_at_link :value
-- Whose live link this is; looking does not use it up.
select u.name from login_links l
join users mine on mine.id = l.user_id join users u on u.id = coalesce(mine.merged_into, mine.id)
where l.token_sha256 = %(token_sha256)s::bytea and l.expires_at > now();

-- take_link :value
-- Uses a live link up and tells whose it was, or whose that user has become.
with taken as (
    delete from login_links where token_sha256 = %(token_sha256)s::bytea and expires_at > now() returning user_id
)
select coalesce(u.merged_into, u.id) from taken join users u on u.id = taken.user_id;

-- sweep :run
-- Sessions that ended by themselves so many seconds ago.
delete from sessions where id in (
    select s.id from sessions s where s.expires_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

-- sweep_links :run
-- Links that nobody used.
delete from login_links where user_id in (
    select l.user_id from login_links l where l.expires_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

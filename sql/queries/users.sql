-- People and their identities.

-- by_identity :one
-- The user that an identity belongs to.
select u.id, u.status from identities i join users u on u.id = i.user_id
where i.provider = %(provider)s::text and i.subject = %(subject)s::text;

-- add_seen :one
-- Makes a user for an identity never seen before; no row when another request was faster.
with born as (
    insert into users (name) values (%(name)s::text) on conflict (name) do nothing returning id, status
),
linked as (
    insert into identities (provider, subject, user_id)
    select %(provider)s::text, %(subject)s::text, born.id from born
    returning user_id
)
select born.id, born.status from born join linked on linked.user_id = born.id;

-- get :one
-- One user with their identities.
select u.id, u.name, u.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u where u.id = %(user_id)s::uuid;

-- by_name :one
-- The user of this name, or of this id.
select u.id, u.name, u.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u where u.name = %(name)s::text
union all
select u.id, u.name, u.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u where u.id = case when %(name)s::text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then %(name)s::uuid end
limit 1;

-- list :many
-- The users, the newest first.
select u.id, u.name, u.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u order by u.id desc limit 1000;

-- add :value
-- Makes a user; no row when the name is taken.
insert into users (name, plan) values (%(name)s::text, %(plan)s::text)
on conflict (name) do nothing returning id;

-- set_status :value
-- Suspends or restores a user.
update users set status = %(status)s::text where id = %(user_id)s::uuid and status <> 'deleted' returning id;

-- keys_of :value
-- The ids of a user's keys.
select k.id from api_keys k where k.user_id = %(user_id)s::uuid order by k.id;

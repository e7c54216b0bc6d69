-- People and their identities.

-- by_identity :one
-- The user that an identity belongs to.
select p.user_id as id, p.status, p.reads_per_minute, u.embed_metadata
from identities i join user_plans p on p.user_id = i.user_id join users u on u.id = i.user_id
where i.provider = %(provider)s::text and i.subject = %(subject)s::text;

-- add_seen :one
-- Makes a user for an identity never seen before; no row when another request was faster: then take it all back.
with born as (
    insert into users (name) values (%(name)s::text) on conflict (name) do nothing returning id, status, plan
),
linked as (
    insert into identities (provider, subject, user_id)
    select %(provider)s::text, %(subject)s::text, born.id from born
    on conflict (provider, subject) do nothing returning user_id
)
select born.id, born.status, p.reads_per_minute, true as embed_metadata
from born join linked on linked.user_id = born.id join plans p on p.name = born.plan;

-- get :one
-- One user with their identities.
select u.id, u.name, p.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u join user_plans p on p.user_id = u.id where u.id = %(user_id)s::uuid;

-- by_name :one
-- The user of this name, id or identity, or who that user has become.
select u.id, u.name, p.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from (
    select coalesce(n.merged_into, n.id) as id from users n where n.name = %(name)s::text
    union all
    select coalesce(n.merged_into, n.id) from users n
    where n.id = case when %(name)s::text ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then %(name)s::uuid end
    union all
    select i.user_id from identities i
    where i.provider = split_part(%(name)s::text, ':', 1)
        and i.subject = substr(%(name)s::text, strpos(%(name)s::text, ':') + 1)
    limit 1
) found
join users u on u.id = found.id
join user_plans p on p.user_id = u.id;

-- list :many
-- The users, the newest first; who was merged is somebody else now, who has left and test users are nobody.
select u.id, u.name, p.plan, u.status, u.created_at,
    array(select i.provider || ':' || i.subject from identities i where i.user_id = u.id order by 1) as identities
from users u join user_plans p on p.user_id = u.id where u.status not in ('merged', 'deleted') and u.test_of is null
order by u.id desc limit 1000;

-- add :value
-- Makes a user; no row when the name is taken.
insert into users (name, plan) values (%(name)s::text, %(plan)s::text)
on conflict (name) do nothing returning id;

-- is_merged :value
-- Whether a user has become part of another one.
select u.status = 'merged' from users u where u.id = %(user_id)s::uuid;

-- choices :one
-- What a user has chosen for orders that do not say otherwise.
select u.embed_metadata, u.choices from users u where u.id = %(user_id)s::uuid;

-- set_choices :value
-- Chooses; what is null stays as it was.
update users set embed_metadata = %(embed_metadata)s::boolean, choices = coalesce(%(choices)s::jsonb, choices)
where id = %(user_id)s::uuid returning embed_metadata;

-- is_operator :value
-- Whether a user owns a live key with the scope `admin`.
select exists (
    select from api_keys k
    where k.user_id = %(user_id)s::uuid and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
        and 'admin' = any (k.scopes));

-- set_plan :value
-- Puts a user on a plan, for ever or until a moment.
update users set plan = %(plan)s::text, paid_until = %(paid_until)s::timestamptz
where id = %(user_id)s::uuid and status in ('active', 'suspended') returning id;

-- known :many
-- Which of these identities are somebody's.
select w.name
from unnest(%(names)s::text[], %(providers)s::text[], %(subjects)s::text[]) as w (name, provider, subject)
join identities i on i.provider = w.provider and i.subject = w.subject;

-- Webhooks: the endpoints of users and their secrets. Every statement names the user.

-- lock_user :value
-- Endpoints of a user are made one after the other, and not while the user becomes part of another.
select u.status from users u where u.id = %(user_id)s::uuid for no key update;

-- add :value
-- A new endpoint with its first secret, unless the user has as many as are allowed, or (without a url) has that one.
with room as (
    select from webhook_endpoints w where w.user_id = %(user_id)s::uuid and w.url is not null having count(*) < %(most)s::integer
),
made as (
    insert into webhook_endpoints (user_id, url, events, description)
    select %(user_id)s::uuid, %(url)s::text, %(events)s::text[], %(description)s::text
    where %(url)s::text is null or exists (select from room)
    on conflict (user_id) where url is null do nothing
    returning id
),
kept as (
    insert into webhook_secrets (endpoint_id, secret) select id, %(secret)s::bytea from made
)
select made.id from made;

-- signs_orders :value
-- The endpoint that signs what goes to the `webhook_url` of a user's orders, once there is one.
select w.id from webhook_endpoints w where w.user_id = %(user_id)s::uuid and w.url is null;

-- list :many
-- The endpoints of a user, the oldest first; or the one of this id.
select w.id, w.url, w.events, w.description, w.created_at, w.failing_since, w.disabled_at, w.disabled_reason,
    (select count(*) from webhook_secrets s
        where s.endpoint_id = w.id and (s.expires_at is null or s.expires_at > now()))::integer as secrets
from webhook_endpoints w
where w.user_id = %(user_id)s::uuid and (%(webhook_id)s::uuid is null or w.id = %(webhook_id)s::uuid)
order by w.id;

-- change :value
-- Changes what is given (null: as it was). `disabled` false takes back whatever disabled it. What is on its way goes to
-- the new address; what was on its way to one that is disabled is dead.
with changed as (
    update webhook_endpoints w set url = coalesce(%(url)s::text, w.url), events = coalesce(%(events)s::text[], w.events),
        description = coalesce(%(description)s::text, w.description),
        disabled_at = case %(disabled)s::boolean when true then coalesce(w.disabled_at, now()) when false then null
            else w.disabled_at end,
        disabled_reason = case %(disabled)s::boolean when true then coalesce(w.disabled_reason, 'owner') when false then null
            else w.disabled_reason end,
        failing_since = case when %(disabled)s::boolean is false then null else w.failing_since end,
        enabled_at = case when %(disabled)s::boolean is false and w.disabled_at is not null then now() else w.enabled_at end
    where w.id = %(webhook_id)s::uuid and w.user_id = %(user_id)s::uuid
    returning w.id, w.url, w.disabled_at
),
led as (
    update webhook_deliveries d set url = coalesce(c.url, d.url),
        state = case when c.disabled_at is null then 'pending' else 'dead' end,
        next_attempt_at = case when c.disabled_at is null then d.next_attempt_at end,
        lease = case when c.disabled_at is null then d.lease end,
        leased_until = case when c.disabled_at is null then d.leased_until end,
        last_error = case when c.disabled_at is null then d.last_error else 'disabled' end
    from changed c
    where d.endpoint_id = c.id and d.state = 'pending' and (c.disabled_at is not null or %(url)s::text is not null)
)
select changed.id from changed;

-- remove :run
-- Forgets an endpoint with its secrets and its deliveries.
delete from webhook_endpoints where id = %(webhook_id)s::uuid and user_id = %(user_id)s::uuid;

-- rotate :value
-- A new secret. Those in force go on signing beside it for a while; no more than `most` of them, and the oldest go first.
with mine as (
    select w.id from webhook_endpoints w where w.id = %(webhook_id)s::uuid and w.user_id = %(user_id)s::uuid for no key update
),
ranked as (
    select s.endpoint_id, s.secret, row_number() over (order by s.created_at desc) as place
    from webhook_secrets s join mine on s.endpoint_id = mine.id
),
retired as (
    update webhook_secrets s set expires_at = case when r.place < %(most)s::integer
        then least(coalesce(s.expires_at, 'infinity'), now() + make_interval(secs => %(overlap_seconds)s::float8)) else now() end
    from ranked r where s.endpoint_id = r.endpoint_id and s.secret = r.secret and (s.expires_at is null or s.expires_at > now())
),
kept as (
    insert into webhook_secrets (endpoint_id, secret) select id, %(secret)s::bytea from mine
)
select mine.id from mine;

-- forget_secrets :run
-- Secrets of an endpoint that sign no more.
delete from webhook_secrets where endpoint_id = %(webhook_id)s::uuid and expires_at <= now();

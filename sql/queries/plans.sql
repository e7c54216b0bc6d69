-- Plans: what they give and allow, and what their users have taken together.

-- spent :many
-- Plans whose users have taken together what they may in a day; all processes look once a second.
select p.name from plans p
where p.pool_tokens_per_day <= (
    select coalesce(sum(u.daily), 0) from usage_daily u join user_plans m on m.user_id = u.user_id
    where u.day = utc_day(now()) and m.plan = p.name);

-- processes :value
-- How many control planes there are: each listens on one connection.
select count(*)::integer from pg_stat_activity where application_name = 'tessera-listener' and datname = current_database();

-- list :many
-- The plans that somebody can have, the cheapest first.
select name, tokens_per_day, newcomer_days, weight, running_max, queued_max, submits_per_minute, reads_per_minute, images,
    pixels_max, video_seconds_max, retention_days, pool_weight, pool_tokens_per_day, price_cents, currency
from plans where not hidden order by price_cents, weight, name;

-- lock :one
-- One plan, to be changed in this transaction.
select name, tokens_per_day, newcomer_days, weight, running_max, queued_max, submits_per_minute, reads_per_minute, images,
    pixels_max, video_seconds_max, retention_days, pool_weight, pool_tokens_per_day, price_cents, currency
from plans where name = %(name)s::text for update;

-- set :value
-- Writes a whole plan.
update plans set tokens_per_day = %(tokens_per_day)s::integer, newcomer_days = %(newcomer_days)s::integer,
    weight = %(weight)s::float8, running_max = %(running_max)s::integer, queued_max = %(queued_max)s::integer,
    submits_per_minute = %(submits_per_minute)s::integer, reads_per_minute = %(reads_per_minute)s::integer,
    images = %(images)s::boolean, pixels_max = %(pixels_max)s::integer, video_seconds_max = %(video_seconds_max)s::float8,
    retention_days = %(retention_days)s::integer, pool_weight = %(pool_weight)s::float8,
    pool_tokens_per_day = %(pool_tokens_per_day)s::bigint, price_cents = %(price_cents)s::integer, currency = %(currency)s::text
where name = %(name)s::text
returning name;

-- standing :one
-- What a user has at this moment: the plan with its limits, tokens, and what of the limits is in use.
select p.user_id, p.status, p.plan, p.paid_until, p.queued_max, p.running_max, p.submits_per_minute, p.reads_per_minute,
    p.images, p.pixels_max, p.video_seconds_max, p.retention_days, p.tokens_per_day,
    case when p.plan = any (%(spent_plans)s::text[]) then 0
        else greatest(0, p.tokens_per_day - case b.day when utc_day(now()) then b.daily else 0 end) end::bigint as daily_left,
    b.purchased, b.held, b.queued, b.running,
    floor((60 - extract(epoch from greatest(b.submits_until, now()) - now())) * p.submits_per_minute / 60)::integer as calls,
    extract(epoch from greatest(b.submits_until, now()) - now())::float8 as busy_seconds,
    ((utc_day(now()) + 1)::timestamp at time zone 'UTC') as resets_at,
    extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8 as resets_in,
    exists (select from switches s where s.name = 'submits' and s.paused_at is not null) as submits_paused
from user_plans p join balances b on b.user_id = p.user_id
where p.user_id = %(user_id)s::uuid;

-- usage :many
-- What a user has taken of each of the last days, today first; days without an order are left out.
select u.day, u.jobs, u.daily, u.purchased
from usage_daily u
where u.user_id = %(user_id)s::uuid and u.day > utc_day(now()) - %(days)s::integer
order by u.day desc;

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
-- The plans, the cheapest first.
select name, tokens_per_day, weight, queued_max, running_max, submits_per_minute, reads_per_minute, images, pixels_max,
    video_seconds_max, retention_days, newcomer_days, pool_weight, pool_tokens_per_day, price_cents, currency
from plans order by price_cents, weight, name;

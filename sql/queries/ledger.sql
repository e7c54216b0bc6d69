-- The token ledger as people look at it, and the two transfers that an operator makes by hand. What jobs cost is kept by
-- the triggers of `0002_ledger.sql`. A transfer is told behind the change of the balance, so the row's lock gives the
-- lines of a user the order of their ids.

-- grant :one
-- Gives a user tokens that do not expire.
with changed as (
    update balances set purchased = balances.purchased + %(amount)s::bigint
    where user_id = %(user_id)s::uuid
    returning user_id, purchased
),
told as (
    insert into ledger_transfers (user_id, kind, debit, credit, amount, reason)
    select changed.user_id, 'grant', 'issued', 'purchased', %(amount)s::bigint, %(reason)s::text from changed
    returning id
)
select told.id, changed.purchased from told cross join changed;

-- adjust :one
-- Corrects what a user has, up or down; below zero too, as after a reversed payment: then nothing new can be ordered.
with changed as (
    update balances set purchased = balances.purchased + %(amount)s::bigint
    where user_id = %(user_id)s::uuid
    returning user_id, purchased
),
told as (
    insert into ledger_transfers (user_id, kind, debit, credit, amount, reason)
    select changed.user_id, 'adjust',
        case when %(amount)s::bigint > 0 then 'issued' else 'purchased' end,
        case when %(amount)s::bigint > 0 then 'purchased' else 'issued' end,
        abs(%(amount)s::bigint), %(reason)s::text from changed
    returning id
)
select told.id, changed.purchased from told cross join changed;

-- page :many
-- Lines of a user's ledger and of those who were merged into them, the newest first, from below a given one: each with
-- its job and with what they had after it. The balances run from the sum of everything before the page.
with whose as materialized (
    select %(user_id)s::uuid as id
    union all
    select u.id from users u where u.merged_into = %(user_id)s::uuid
),
line as materialized (
    select t.id, t.created_at, t.kind, t.debit, t.credit, t.amount, t.day, t.job_id, t.reason,
        (t.credit = 'purchased')::integer - (t.debit = 'purchased')::integer as to_purchased,
        (t.credit = 'held')::integer - (t.debit = 'held')::integer as to_held,
        (t.debit = 'daily')::integer - (t.credit = 'daily')::integer as to_daily
    from whose cross join lateral (
        select l.id, l.created_at, l.kind, l.debit, l.credit, l.amount, l.day, l.job_id, l.reason
        from ledger_transfers l
        where l.user_id = whose.id and l.id < coalesce(%(before)s::bigint, 9223372036854775807)
        order by l.id desc limit %(most)s::integer
    ) t
    order by t.id desc limit %(most)s::integer
),
start as materialized (
    select coalesce(sum(t.amount * ((t.credit = 'purchased')::integer - (t.debit = 'purchased')::integer)), 0) as purchased,
        coalesce(sum(t.amount * ((t.credit = 'held')::integer - (t.debit = 'held')::integer)), 0) as held
    from whose join ledger_transfers t on t.user_id = whose.id
    where t.id < (select min(id) from line)
),
day as materialized (
    select t.day, sum(t.amount * ((t.debit = 'daily')::integer - (t.credit = 'daily')::integer)) as daily
    from whose join ledger_transfers t on t.user_id = whose.id
    where t.id < (select min(id) from line) and t.day in (select day from line)
    group by t.day
)
select line.id, line.created_at, line.kind, line.debit, line.credit, line.amount, line.day, line.job_id, line.reason,
    l.kind as job_kind, l.model, j.state, s.held as job_held, s.charged as job_charged,
    (start.purchased + sum(line.amount * line.to_purchased) over (order by line.id))::bigint as purchased,
    (start.held + sum(line.amount * line.to_held) over (order by line.id))::bigint as held,
    case when line.day is not null then
        (coalesce(day.daily, 0) + sum(line.amount * line.to_daily) over (partition by line.day order by line.id))::bigint
        end as daily
from line
cross join start
left join day on day.day = line.day
left join jobs j on j.id = line.job_id and j.user_id = %(user_id)s::uuid
left join lanes l on l.id = j.lane_id
left join settlements s on s.job_id = line.job_id
order by line.id desc;

-- widely :run
-- A full read is planned as such, for the rest of this transaction: sessions are tuned for reaching rows by key.
select set_config(name, value, true) from (values ('enable_seqscan', 'on'), ('enable_hashjoin', 'on'),
    ('enable_mergejoin', 'on'), ('plan_cache_mode', 'force_custom_plan'), ('statement_timeout', '300s')) as option (name, value);

-- violations :many
-- Every disagreement of the books; empty, or money was lost.
select v.law, v.user_id, u.name as user, v.job_id, v.kept::bigint as kept, v.found::bigint as found
from ledger_violations v left join users u on u.id = v.user_id
order by v.law, v.user_id, v.job_id;

-- note :run
-- The books were read.
insert into ledger_checks (only_one, checked_at, violations) values (true, now(), %(violations)s::integer)
on conflict (only_one) do update set checked_at = excluded.checked_at, violations = excluded.violations;

-- Plans with their limits, the token ledger, and the books that are kept with every change of state.

------------------------------------------------------------------------------------------- plans

-- What a plan gives and allows. All tokens of a day are gone at midnight UTC; a newcomer's day is smaller for the
-- first `newcomer_days`, so that farming accounts does not pay. `pool_weight` and `pool_tokens_per_day` bound what all
-- users of the plan together may take: of the queue at a time, and of tokens in a day. Null is without bound.
alter table plans
    add column tokens_per_day integer not null default 0 check (tokens_per_day >= 0),
    add column running_max smallint not null default 1 check (running_max > 0),
    add column submits_per_minute integer not null default 10 check (submits_per_minute between 1 and 1000000),
    add column reads_per_minute integer not null default 120 check (reads_per_minute between 1 and 1000000),
    add column images boolean not null default true,
    add column pixels_max integer not null default 1048576 check (pixels_max > 0),
    add column video_seconds_max double precision not null default 0 check (video_seconds_max >= 0),
    add column newcomer_days integer not null default 0 check (newcomer_days >= 0),
    add column pool_weight double precision check (pool_weight > 0),
    add column pool_tokens_per_day bigint check (pool_tokens_per_day > 0),
    add column price_cents integer not null default 0 check (price_cents >= 0),
    add column currency text not null default 'EUR' check (currency ~ '^[A-Z]{3}$');

update plans set weight = seed.weight, running_max = seed.running, queued_max = seed.queued, retention_days = seed.days,
    tokens_per_day = seed.tokens, submits_per_minute = seed.submits, reads_per_minute = seed.submits * 12,
    pixels_max = seed.megapixels * 1048576, video_seconds_max = seed.video_seconds, newcomer_days = seed.newcomer,
    pool_weight = seed.pool_weight, pool_tokens_per_day = seed.pool_tokens, price_cents = seed.cents
from (values
    ('free', 100, 1, 1, 3, 10, 1, 0, 7, 0, 3, 0.1, 5000),
    ('starter', 1000, 4, 2, 20, 60, 2, 5, 30, 500, 0, null, null),
    ('pro', 6000, 12, 4, 100, 300, 4, 15, 180, 2000, 0, null, null)
) as seed (name, tokens, weight, running, queued, submits, megapixels, video_seconds, days, cents, newcomer, pool_weight,
    pool_tokens)
where plans.name = seed.name;

alter table users add column paid_until timestamptz; -- null: the plan does not lapse

-- The plan that a user has now: a paid one lapses to `free` three days after the date that it is paid until.
create view user_plans as
select u.id as user_id, u.status, u.paid_until, p.name as plan, p.weight, p.queued_max, p.running_max, p.submits_per_minute,
    p.reads_per_minute, p.images, p.pixels_max, p.video_seconds_max, p.retention_days, p.pool_weight, p.pool_tokens_per_day,
    floor(p.tokens_per_day * least(1, (1 + date_part('day', now() - u.created_at)) / (1 + p.newcomer_days)))::integer
        as tokens_per_day
from users u
join plans p on p.name = case when u.paid_until + interval '3 days' < now() then 'free' else u.plan end;

------------------------------------------------------------------------------------------- balances

-- What must be known of a user to admit an order, in one row: locking it (users in the order of their ids) makes all
-- admission of a user happen one after the other. Everything but the lock is kept by the triggers below.
-- `purchased` may be below zero after a reversed payment; `daily` counts the tokens taken of the allowance of `day`.
create table balances (
    user_id uuid primary key references users,
    purchased bigint not null default 0,
    held bigint not null default 0 check (held >= 0),
    day date not null default '-infinity',
    daily bigint not null default 0 check (daily >= 0),
    queued integer not null default 0 check (queued >= 0),
    running integer not null default 0 check (running >= 0),
    -- When the user's submits will have been worked off at the plan's rate (GCRA's theoretical arrival time).
    submits_until timestamptz not null default '-infinity'
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- How much a user has taken of each day (UTC); what is returned is taken off the day of its hold again.
create table usage_daily (
    user_id uuid not null, -- of a row in balances, like that of a transfer: the trigger below writes all three
    day date not null,
    jobs integer not null default 0 check (jobs >= 0),
    daily bigint not null default 0 check (daily >= 0),
    purchased bigint not null default 0 check (purchased >= 0),
    primary key (user_id, day)
) with (fillfactor = 70);
create index usage_daily_day on usage_daily (day);

------------------------------------------------------------------------------------------- ledger

-- Append-only; a row moves an amount from one account of a user to another, so it balances by construction.
--   issued     where tokens come from that a user was granted or bought
--   daily      the allowance of a day, out of which holds are made; what is not used was never issued
--   purchased  granted and bought tokens: they do not expire
--   held       put aside for jobs that are not over
--   spent      charged
create table ledger_transfers (
    id bigint generated always as identity primary key,
    user_id uuid not null,
    kind text not null check (kind in ('grant', 'hold', 'charge', 'return', 'adjust')),
    debit text collate "C" not null check (debit in ('issued', 'daily', 'purchased', 'held', 'spent')),
    credit text collate "C" not null check (credit in ('issued', 'daily', 'purchased', 'held', 'spent')),
    amount bigint not null check (amount > 0),
    day date,
    job_id uuid, -- the ledger outlives its jobs
    reason text check (length(reason) <= 300),
    created_at timestamptz not null default now(),
    constraint transfer_moves check (debit <> credit),
    constraint daily_has_a_day check ((day is not null) = ('daily' in (debit, credit))),
    constraint transfer_of_its_kind check (case kind
        when 'grant' then debit = 'issued' and credit = 'purchased' and job_id is null and reason is not null
        when 'hold' then debit in ('daily', 'purchased') and credit = 'held' and job_id is not null
        when 'charge' then debit = 'held' and credit = 'spent' and job_id is not null
        when 'return' then debit = 'held' and credit in ('daily', 'purchased') and job_id is not null
        else job_id is null and reason is not null end)
);
create index ledger_transfers_user on ledger_transfers (user_id, id);
create unique index ledger_transfers_job on ledger_transfers (job_id, debit, credit) where job_id is not null;

-- The end of a hold. One per job: nobody pays twice.
create table settlements (
    job_id uuid primary key,
    user_id uuid not null,
    held bigint not null check (held > 0),
    charged bigint not null check (charged >= 0),
    returned bigint not null check (returned >= 0),
    settled_at timestamptz not null default now(),
    constraint settled_whole check (charged + returned = held)
);
create index settlements_user on settlements (user_id, job_id desc);

-- How much of a job's hold (`cost`) was purchased; the rest was daily, of the day on which the job was created.
alter table jobs add column purchased integer not null default 0;
-- How many of the user's jobs may run beside this one at most, by the plan when it was ordered (as the weight is).
alter table jobs add column running_max smallint not null default 32767 check (running_max > 0);
-- The plan whose users share one place in line, when it has a pool weight: what all of them have in line is added up.
alter table jobs add column pool text;
create index jobs_pool on jobs (pool, lane_id) include (cost) where state = 'queued' and pool is not null;
alter table jobs add constraint hold_has_parts check (purchased between 0 and cost);

-- The day to which daily tokens of a job belong.
create function utc_day(instant timestamptz) returns date
    language sql immutable parallel safe
    set search_path = pg_catalog
    return (instant at time zone 'UTC')::date;

------------------------------------------------------------------------------------------- the books

create function open_balance() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
begin
    insert into balances (user_id) values (new.id);
    return null;
end
$$;
create trigger users_balance after insert on users for each row execute function open_balance();
insert into balances (user_id) select id from users;

-- A job that is born holds its cost, whoever inserted it.
create function hold_tokens() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
declare
    one record;
begin
    select count(*) over () as members, id, user_id, cost, purchased, cost - purchased as daily,
        (state = 'queued')::integer as queued, (state = 'running')::integer as running, utc_day(created_at) as day
    into one from born limit 1;
    if one.members = 1 then -- a lone order: small statements start up sooner
        if one.daily > 0 then
            insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
            values (one.user_id, 'hold', 'daily', 'held', one.daily, one.day, one.id);
        end if;
        if one.purchased > 0 then
            insert into ledger_transfers (user_id, kind, debit, credit, amount, job_id)
            values (one.user_id, 'hold', 'purchased', 'held', one.purchased, one.id);
        end if;
        insert into usage_daily as u (user_id, day, jobs, daily, purchased)
        values (one.user_id, one.day, 1, one.daily, one.purchased)
        on conflict (user_id, day) do update set jobs = u.jobs + 1, daily = u.daily + excluded.daily,
            purchased = u.purchased + excluded.purchased;
        update balances b set purchased = b.purchased - one.purchased, held = b.held + one.cost,
            queued = b.queued + one.queued, running = b.running + one.running, day = greatest(b.day, one.day),
            daily = case when b.day = one.day then b.daily + one.daily when b.day < one.day then one.daily else b.daily end,
            submits_until = greatest(b.submits_until, now()) + interval '1 minute' / (
                select p.submits_per_minute from user_plans p where p.user_id = one.user_id)
        where b.user_id = one.user_id;
        return null;
    end if;
    insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
    select born.user_id, 'hold', part.account, 'held', part.amount,
        case part.account when 'daily' then utc_day(born.created_at) end, born.id
    from born cross join lateral (values ('daily', born.cost - born.purchased), ('purchased', born.purchased))
        as part (account, amount)
    where part.amount > 0;

    insert into usage_daily as u (user_id, day, jobs, daily, purchased)
    select user_id, utc_day(created_at), count(*), sum(cost - purchased), sum(purchased)
    from born group by 1, 2 order by 1, 2
    on conflict (user_id, day) do update set jobs = u.jobs + excluded.jobs, daily = u.daily + excluded.daily,
        purchased = u.purchased + excluded.purchased;

    update balances set purchased = balances.purchased - mine.purchased, held = balances.held + mine.cost,
        queued = balances.queued + mine.queued, running = balances.running + mine.running,
        day = greatest(balances.day, mine.day),
        daily = case when balances.day = mine.day then balances.daily + mine.daily
            when balances.day < mine.day then mine.daily else balances.daily end,
        submits_until = greatest(balances.submits_until, now()) + mine.jobs * interval '1 minute' / p.submits_per_minute
    from (
        select user_id, max(utc_day(created_at)) as day, count(*)::integer as jobs,
            count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'running') as running,
            sum(cost) as cost,
            sum(purchased) as purchased, sum(cost - purchased) as daily
        from born group by user_id
    ) mine
    join user_plans p on p.user_id = mine.user_id
    where balances.user_id = mine.user_id;
    return null;
end
$$;
create trigger jobs_hold after insert on jobs referencing new table as born
    for each statement execute function hold_tokens();

-- A job that goes back in line or ends changes its user's counts (a claim, which must look at them, changes them
-- itself). One that ends is settled: charged when it succeeded, by its
-- progress when it was canceled while it ran, and returned otherwise. Of what is returned, purchased tokens come first.
create function settle() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
    set enable_hashjoin = on -- a sweep may end a thousand at once
as $$
begin
    if not exists (select from after where state <> 'running') then
        return null; -- claims, which count for themselves, and heartbeats
    end if;

    perform from balances
    where user_id in (select after.user_id from after join before using (id) where after.state <> before.state)
    order by user_id for no key update;

    with moved as materialized (
        select after.id, after.user_id, utc_day(after.created_at) as day, after.cost, after.purchased,
            (after.state = 'queued')::integer - (before.state = 'queued')::integer as queued,
            (after.state = 'running')::integer - (before.state = 'running')::integer as running,
            after.finished_at is not null and before.finished_at is null as ended,
            case when after.state = 'succeeded' then after.cost
                when after.state = 'canceled' and before.phase = 'started'
                    then round(after.cost * least(1, greatest(0, coalesce(p.value, 0))))
                else 0 end::bigint as charged
        from after join before using (id)
        left join job_progress p on p.job_id = after.id and p.attempt = after.attempt
        where after.state <> before.state
    ),
    ended as materialized (
        select id, user_id, day, cost, charged, cost - charged as returned,
            least(purchased, cost - charged) as returned_purchased,
            greatest(0, cost - charged - purchased) as returned_daily
        from moved where ended
    ),
    settled as (
        insert into settlements (job_id, user_id, held, charged, returned)
        select id, user_id, cost, charged, returned from ended order by id
    ),
    told as (
        insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
        select ended.user_id, part.kind, 'held', part.account, part.amount,
            case part.account when 'daily' then ended.day end, ended.id
        from ended cross join lateral (values ('charge', 'spent', charged), ('return', 'daily', returned_daily),
            ('return', 'purchased', returned_purchased)) as part (kind, account, amount)
        where part.amount > 0
        order by ended.id
    ),
    untaken as (
        update usage_daily set daily = usage_daily.daily - mine.daily, purchased = usage_daily.purchased - mine.purchased
        from (select user_id, day, sum(returned_daily) as daily, sum(returned_purchased) as purchased
            from ended where returned > 0 group by user_id, day) mine
        where usage_daily.user_id = mine.user_id and usage_daily.day = mine.day
    )
    update balances set queued = balances.queued + mine.queued, running = balances.running + mine.running,
        held = balances.held - mine.held, purchased = balances.purchased + mine.purchased,
        daily = balances.daily - mine.daily
    from (
        select moved.user_id, sum(moved.queued) as queued, sum(moved.running) as running,
            coalesce(sum(ended.cost), 0) as held, coalesce(sum(ended.returned_purchased), 0) as purchased,
            coalesce(sum(ended.returned_daily) filter (where ended.day = b.day), 0) as daily
        from moved join balances b on b.user_id = moved.user_id left join ended on ended.id = moved.id
        group by moved.user_id
    ) mine
    where balances.user_id = mine.user_id;
    return null;
end
$$;
create trigger jobs_settle after update on jobs referencing old table as before new table as after
    for each statement execute function settle();

------------------------------------------------------------------------------------------- what must always hold

-- Every way in which the books could disagree, with what was found; empty, or money was lost. It reads everything, so
-- it is looked at now and then and never on the way of a request.
create view ledger_violations as
with fold as (
    select user_id,
        coalesce(sum(amount) filter (where credit = 'purchased'), 0) - coalesce(sum(amount) filter (where debit = 'purchased'), 0)
            as purchased,
        coalesce(sum(amount) filter (where credit = 'held'), 0) - coalesce(sum(amount) filter (where debit = 'held'), 0) as held
    from ledger_transfers group by user_id
),
daily as (
    select user_id, day, sum(case when debit = 'daily' then amount else -amount end) as daily
    from ledger_transfers where day is not null group by user_id, day
),
live as (
    select user_id, sum(cost) as held, count(*) filter (where state = 'queued') as queued,
        count(*) filter (where state = 'running') as running
    from jobs where finished_at is null group by user_id
),
moved as (
    select job_id, coalesce(sum(amount) filter (where kind = 'hold'), 0) as held,
        coalesce(sum(amount) filter (where kind = 'charge'), 0) as charged,
        coalesce(sum(amount) filter (where kind = 'return'), 0) as returned
    from ledger_transfers where job_id is not null group by job_id
)
select 'balance_purchased' as law, b.user_id, null::uuid as job_id, b.purchased as kept, coalesce(f.purchased, 0) as found
from balances b left join fold f using (user_id) where b.purchased <> coalesce(f.purchased, 0)
union all
select 'balance_held', b.user_id, null, b.held, coalesce(f.held, 0)
from balances b left join fold f using (user_id) where b.held <> coalesce(f.held, 0)
union all
select 'balance_of_live_jobs', b.user_id, null, b.held, coalesce(l.held, 0)
from balances b left join live l using (user_id) where b.held <> coalesce(l.held, 0)
union all
select 'count_queued', b.user_id, null, b.queued, coalesce(l.queued, 0)
from balances b left join live l using (user_id) where b.queued <> coalesce(l.queued, 0)
union all
select 'count_running', b.user_id, null, b.running, coalesce(l.running, 0)
from balances b left join live l using (user_id) where b.running <> coalesce(l.running, 0)
union all
select 'balance_daily', b.user_id, null, b.daily, coalesce(u.daily, 0)
from balances b left join usage_daily u on u.user_id = b.user_id and u.day = b.day where b.daily <> coalesce(u.daily, 0)
union all
select 'usage_daily', coalesce(u.user_id, d.user_id), null, coalesce(u.daily, 0), coalesce(d.daily, 0)
from usage_daily u full join daily d on d.user_id = u.user_id and d.day = u.day
where coalesce(u.daily, 0) <> coalesce(d.daily, 0)
union all
select 'hold_of_job', j.user_id, j.id, j.cost, coalesce(m.held, 0)
from jobs j left join moved m on m.job_id = j.id where j.cost <> coalesce(m.held, 0)
union all
select 'settlement_missing', j.user_id, j.id, j.cost, 0
from jobs j left join settlements s on s.job_id = j.id where j.finished_at is not null and s.job_id is null
union all
select 'settlement_early', j.user_id, j.id, 0, s.held
from jobs j join settlements s on s.job_id = j.id where j.finished_at is null
union all
select 'settlement_held', j.user_id, j.id, j.cost, s.held
from jobs j join settlements s on s.job_id = j.id where s.held <> j.cost
union all
select 'settlement_charged', s.user_id, s.job_id, s.charged, coalesce(m.charged, 0)
from settlements s left join moved m on m.job_id = s.job_id where s.charged <> coalesce(m.charged, 0)
union all
select 'settlement_returned', s.user_id, s.job_id, s.returned, coalesce(m.returned, 0)
from settlements s left join moved m on m.job_id = s.job_id where s.returned <> coalesce(m.returned, 0)
union all
select 'charged_for_nothing', j.user_id, j.id, 0, s.charged
from jobs j join settlements s on s.job_id = j.id where s.charged > 0 and j.state not in ('succeeded', 'canceled');

------------------------------------------------------------------------------------------- rights

-- Jobs that are there already were ordered before anything cost anything; their books are opened as they stand.
insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
select user_id, 'hold', 'daily', 'held', cost, utc_day(created_at), id from jobs order by id;
insert into settlements (job_id, user_id, held, charged, returned)
select id, user_id, cost, case state when 'succeeded' then cost else 0 end, case state when 'succeeded' then 0 else cost end
from jobs where finished_at is not null order by id;
insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
select s.user_id, part.kind, 'held', part.account, part.amount, case part.account when 'daily' then utc_day(j.created_at) end, s.job_id
from settlements s join jobs j on j.id = s.job_id
cross join lateral (values ('charge', 'spent', s.charged), ('return', 'daily', s.returned)) as part (kind, account, amount)
where part.amount > 0 order by s.job_id;
insert into usage_daily (user_id, day, jobs, daily)
select user_id, utc_day(created_at), count(*), coalesce(sum(cost) filter (where finished_at is null or state = 'succeeded'), 0)
from jobs group by 1, 2;
update balances set held = mine.held, queued = mine.queued, running = mine.running, day = u.day, daily = u.daily
from (
    select user_id, coalesce(sum(cost) filter (where finished_at is null), 0) as held,
        count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'running') as running
    from jobs group by user_id
) mine
join lateral (select day, daily from usage_daily d where d.user_id = mine.user_id order by day desc limit 1) u on true
where balances.user_id = mine.user_id;

grant select on user_plans, balances, usage_daily, ledger_transfers, settlements, ledger_violations to tessera_app;
grant insert on ledger_transfers to tessera_app;
grant update (purchased, running, queued) on balances to tessera_app;
grant update on plans to tessera_app;
revoke execute on function open_balance(), hold_tokens(), settle() from public;

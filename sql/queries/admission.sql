-- Admission: what must hold before an order becomes a job. The rules are those of the user's plan, the books those of
-- `0002_ledger.sql`; a trigger on the insert of a job takes its tokens.

-- submit :many
-- Admits orders and puts them in line: one array per field, one row back for each member, a refusal being a row too.
-- The balances of all users are locked first, in the order of their ids, so admission of a user happens one after the
-- other, whatever the batches and processes. Of a user's members, the first come is served first; what comes behind
-- the first one that does not fit is refused if it cannot fit either, and else looks `again`.
-- The tag is max(lane clock, the user's last tag in the lane) + cost / weight: self-clocked weighted fair queueing
-- (Golestani 1994); in a batch, costs of one user and lane add up. Only tags above the clock matter, which keeps the
-- look at the user's line away from what has left it. The users of a plan with a pool weight have one more tag, as if
-- they were one user of that weight: clock + what all of them have in line, with this job, / pool weight. So however many
-- they are, they take no more of the lane than that. It is reckoned from what is in line now (`pool_tokens`, read once a
-- second) and not from the last tag, or a few accounts that order and cancel would push all others back without end.
with account as materialized (
    select b.user_id, b.purchased, b.day, b.daily, b.queued, b.submits_until, b.suspended
    from balances b
    where b.user_id = any (%(user_id)s::uuid[])
    order by b.user_id for no key update
),
customer as materialized (
    select a.user_id, a.suspended, p.plan, p.weight, p.pool_weight, p.running_max, p.images, p.pixels_max, p.video_seconds_max,
        p.submits_per_minute, a.day > utc_day(now()) as is_tomorrow, p.queued_max - a.queued as room,
        case when p.plan = any (%(spent_plans)s::text[]) or a.purchased < 0 then 0
            else greatest(0, p.tokens_per_day - case a.day when utc_day(now()) then a.daily else 0 end) end as daily,
        greatest(0, a.purchased) as purchased,
        floor((60 - extract(epoch from greatest(a.submits_until, now()) - now())) * p.submits_per_minute / 60)::integer as calls,
        extract(epoch from greatest(a.submits_until, now()) - now())::float8 as busy_seconds
    from account a join user_plans p on p.user_id = a.user_id
),
-- What can be said of each member by itself.
member as materialized (
    select m.n, m.user_id, m.lane_id, m.cost, m.head_start, m.spec, m.metadata, m.webhook_url, m.max_wait, m.key, m.request_sha256,
        m.policy_version, c.plan, c.weight, c.pool_weight, c.running_max, c.daily, c.purchased, c.room, c.calls, c.busy_seconds,
        c.submits_per_minute, greatest(l.clock, m.clock) as clock, coalesce((m.pool_tokens::jsonb ->> c.plan)::float8, 0) as pool_tokens,
        k.job_id as known_job_id,
        case when k.request_sha256 = m.request_sha256 then 'replayed'
            when k.job_id is not null then 'idempotency_mismatch'
            when c.user_id is null then 'merged'
            when c.is_tomorrow
                or m.key is not null and row_number() over (partition by m.user_id, m.key order by m.n) > 1 then 'again'
            when c.suspended then 'suspended'
            when l.paused_at is not null or mo.paused_at is not null or s.paused_at is not null then 'paused'
            when l.kind = 'image' and not c.images or m.pixels > c.pixels_max or m.video_seconds > c.video_seconds_max
                then 'plan_forbids'
        end as verdict
    from unnest(
            %(user_id)s::uuid[], %(lane_id)s::integer[], %(cost)s::integer[], %(pixels)s::integer[],
            %(video_seconds)s::float8[], %(head_start)s::float8[], %(clock)s::float8[], %(pool_tokens)s::text[],
            %(spec)s::text[], %(metadata)s::text[], %(webhook_url)s::text[], %(max_wait)s::integer[], %(key)s::text[],
            %(request_sha256)s::bytea[], %(policy_version)s::integer[]
        ) with ordinality as m (user_id, lane_id, cost, pixels, video_seconds, head_start, clock, pool_tokens, spec, metadata,
            webhook_url, max_wait, key, request_sha256, policy_version, n)
    join lanes l on l.id = m.lane_id
    join models mo on mo.name = l.model and mo.kind = l.kind
    join switches s on s.name = 'submits'
    left join customer c on c.user_id = m.user_id
    left join idempotency_keys k on k.user_id = m.user_id and k.key = m.key
),
-- What those before it, with it, take of calls, room and tokens. All three only grow: who does not fit is followed by
-- nobody who does.
reckoned as materialized (
    select member.*, row_number() over mine as place, sum(cost) over mine as sum,
        row_number() over mine <= least(calls, room) and sum(cost) over mine <= daily + purchased as fits
    from member
    window mine as (partition by user_id, verdict is null order by n)
),
judged as materialized (
    select reckoned.*, uuid7() as job_id,
        case when verdict is not null then verdict
            when fits then null
            when first_value(place) over behind > calls then 'rate_limited'
            when first_value(place) over behind > room then 'queue_full'
            when cost > daily + purchased - first_value(sum - cost) over behind then 'tokens_short'
            else 'again' end as refusal,
        greatest(0, daily + purchased - case when verdict is null and not fits then first_value(sum - cost) over behind else 0 end)
            as available
    from reckoned
    window behind as (partition by user_id, verdict is null, fits order by n)
),
keyed as (
    insert into idempotency_keys (user_id, key, request_sha256, job_id)
    select user_id, key, request_sha256, job_id from judged where refusal is null and key is not null
    order by user_id, key
    on conflict (user_id, key) do nothing
    returning job_id
),
admitted as materialized (
    select judged.* from judged where refusal is null and (key is null or job_id in (select job_id from keyed))
),
-- Compared as a row, so that no plan takes the index of the lane and walks everybody's jobs.
standing as materialized (
    select w.user_id, w.lane_id,
        case when w.head_start = 0
            then (select j.tag from jobs j
                where j.state = 'queued' and (j.user_id, j.lane_id, j.tag) > (w.user_id, w.lane_id, w.clock)
                    and (j.user_id, j.lane_id, j.tag) < (w.user_id, w.lane_id, 'infinity')
                order by j.user_id desc, j.lane_id desc, j.tag desc limit 1)
            else (select max(j.tag + j.head_start) from jobs j
                where j.state = 'queued' and (j.user_id, j.lane_id, j.tag) > (w.user_id, w.lane_id, w.clock - w.head_start)
                    and (j.user_id, j.lane_id, j.tag) < (w.user_id, w.lane_id, 'infinity'))
        end as last_tag
    from (select user_id, lane_id, min(clock) as clock, max(head_start) as head_start from admitted group by user_id, lane_id) w
),
tagged as materialized (
    select a.*, greatest(a.clock, s.last_tag) + sum(a.cost / a.weight) over (partition by a.user_id, a.lane_id order by a.n) as tag,
        case when a.pool_weight is not null then a.clock
            + (a.pool_tokens + sum(a.cost) over (partition by a.plan, a.lane_id order by a.n)) / a.pool_weight end as pool_tag,
        case when a.pool_weight is not null then a.plan end as pool
    from admitted a join standing s on s.user_id = a.user_id and s.lane_id = a.lane_id
),
queued as (
    insert into jobs (id, user_id, lane_id, tag, pool, head_start, cost, running_max, purchased, start_by, policy_version)
    select job_id, user_id, lane_id, greatest(tag, pool_tag) - head_start, pool, head_start, cost, running_max,
        cost - greatest(0, least(cost, daily - (sum - cost))), now() + make_interval(secs => max_wait), policy_version
    from tagged
    returning id, tag, created_at
),
specified as (
    insert into job_specs (job_id, spec, metadata, webhook_url)
    select job_id, spec::jsonb, metadata::jsonb, webhook_url from admitted
),
told as (
    insert into job_events (job_id, name, attempt)
    select job_id, 'job.submitted', 0 from admitted
)
select judged.n::integer as n,
    case when judged.refusal is null and queued.id is null then 'again'
        -- a twin elsewhere was faster, so what was reckoned for those behind it was too much
        when judged.refusal in ('rate_limited', 'queue_full', 'tokens_short') and exists (
            select from judged twin where twin.user_id = judged.user_id and twin.n < judged.n and twin.refusal is null
                and twin.job_id not in (select job_id from admitted)) then 'again'
        else judged.refusal end as refusal,
    coalesce(queued.id, judged.known_job_id) as job_id, queued.tag, queued.created_at,
    tagged.pool,
    judged.available::bigint as available,
    greatest(0, judged.calls - judged.place)::integer as calls_left,
    judged.submits_per_minute as calls_per_minute, judged.busy_seconds,
    (utc_day(now()) + 1)::timestamp at time zone 'UTC' as resets_at,
    extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8 as resets_in
from judged
left join queued on queued.id = judged.job_id
left join tagged on tagged.job_id = judged.job_id
order by judged.n;

-- submit_one :one
-- The same as submit, for a single order, in steps (0012_lone.sql): there are no neighbours to reckon with.
with placed as materialized (
    select o.refusal, o.job_id, o.tag, o.created_at, o.pool, o.available, o.calls_left, o.calls_per_minute, o.busy_seconds
    from submit_one(%(user_id)s::uuid, %(lane_id)s::integer, %(cost)s::integer, %(pixels)s::integer,
        %(video_seconds)s::float8, %(head_start)s::float8, %(clock)s::float8, %(pool_tokens)s::jsonb,
        %(max_wait)s::integer, %(key)s::text, %(request_sha256)s::bytea, %(policy_version)s::integer,
        %(spent_plans)s::text[]) o
),
specified as (
    insert into job_specs (job_id, spec, metadata, webhook_url)
    select job_id, %(spec)s::jsonb, %(metadata)s::jsonb, %(webhook_url)s::text from placed where refusal is null
)
select 1 as n, refusal, job_id, tag, created_at, pool, available, calls_left, calls_per_minute, busy_seconds,
    (utc_day(now()) + 1)::timestamp at time zone 'UTC' as resets_at,
    extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8 as resets_in
from placed;

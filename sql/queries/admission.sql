-- Admission: what must hold before an order becomes a job. The rules are those of the user's plan, the books those of
-- `0002_ledger.sql`; a trigger on the insert of a job takes its tokens.

-- submit :many
-- Admits orders and puts them in line: one array per field, one row back for each member, a refusal being a row too.
-- The balances of all users are locked first, in the order of their ids, so admission of a user happens one after the
-- other, whatever the batches and processes. Of a user's members, the first come is served first; what comes behind
-- the first one that does not fit is refused if it cannot fit either, and else looks `again`.
-- The tag is max(lane clock, the user's last tag in the lane) + cost / weight: self-clocked weighted fair queueing
-- (Golestani 1994); in a batch, costs of one user and lane add up. Only tags above the clock matter, which keeps the
-- look at the user's line away from what has left it. The users of a plan with a pool weight are spaced together as
-- well (`pool_tag`), so however many they are, they take no more of the lane than that weight.
with account as materialized (
    select b.user_id, b.purchased, b.day, b.daily, b.queued, b.submits_until
    from balances b
    where b.user_id = any (%(user_id)s::uuid[])
    order by b.user_id for no key update
),
customer as materialized (
    select a.user_id, p.status, p.plan, p.weight, p.pool_weight, p.images, p.pixels_max, p.video_seconds_max,
        p.submits_per_minute, a.purchased, a.day > utc_day(now()) as is_tomorrow,
        case when p.plan = any (%(spent_plans)s::text[]) then 0
            else greatest(0, p.tokens_per_day - case a.day when utc_day(now()) then a.daily else 0 end) end as daily,
        p.queued_max - a.queued as room,
        floor((60 - extract(epoch from greatest(a.submits_until, now()) - now())) * p.submits_per_minute / 60)::integer as calls,
        extract(epoch from greatest(a.submits_until, now()) - now())::float8 as busy_seconds
    from account a join user_plans p on p.user_id = a.user_id
),
member as materialized (
    select m.n, m.user_id, m.lane_id, m.cost, m.head_start, m.spec, m.metadata, m.max_wait, m.key, m.request_sha256,
        m.policy_version, c.plan, c.weight, c.pool_weight, c.daily, c.purchased, c.room, c.calls, c.busy_seconds,
        c.submits_per_minute, greatest(l.clock, m.clock) as clock,
        (m.pool_tags::jsonb ->> c.plan)::float8 as pool_tag, k.job_id as known_job_id,
        case when k.request_sha256 = m.request_sha256 then 'replayed'
            when k.job_id is not null then 'idempotency_mismatch'
            when m.key is not null and row_number() over (partition by m.user_id, m.key order by m.n) > 1 or c.is_tomorrow
                then 'again'
            when c.user_id is null then 'merged'
            when c.status <> 'active' then 'suspended'
            when l.paused_at is not null or mo.paused_at is not null or s.paused_at is not null then 'paused'
            when l.kind = 'image' and not c.images or m.pixels > c.pixels_max or m.video_seconds > c.video_seconds_max
                then 'plan_forbids'
        end as verdict
    from unnest(
            %(user_id)s::uuid[], %(lane_id)s::integer[], %(cost)s::integer[], %(pixels)s::integer[],
            %(video_seconds)s::float8[], %(head_start)s::float8[], %(clock)s::float8[], %(pool_tags)s::text[],
            %(spec)s::text[], %(metadata)s::text[], %(max_wait)s::integer[], %(key)s::text[], %(request_sha256)s::bytea[],
            %(policy_version)s::integer[]
        ) with ordinality as m (user_id, lane_id, cost, pixels, video_seconds, head_start, clock, pool_tags, spec, metadata,
            max_wait, key, request_sha256, policy_version, n)
    left join customer c on c.user_id = m.user_id
    join lanes l on l.id = m.lane_id
    join models mo on mo.name = l.model and mo.kind = l.kind
    join switches s on s.name = 'submits'
    left join idempotency_keys k on k.user_id = m.user_id and k.key = m.key
),
reckoned as materialized (
    select n, user_id, cost, room, calls, case when purchased < 0 then 0 else daily + purchased end as funds,
        row_number() over line as place, sum(cost) over line as sum, daily
    from member where verdict is null
    window line as (partition by user_id order by n)
),
-- The first of each user that does not fit, with what its predecessors have left.
misfit as materialized (
    select distinct on (user_id) user_id, n, calls - (place - 1) as calls, room - (place - 1) as room, funds - (sum - cost) as funds
    from reckoned
    where place > calls or place > room or sum > funds
    order by user_id, n
),
judged as materialized (
    select member.n, member.user_id, member.key, reckoned.sum, reckoned.place,
        coalesce(member.verdict, case when misfit.n is null or member.n < misfit.n then null
            when misfit.calls <= 0 then 'rate_limited'
            when misfit.room <= 0 then 'queue_full'
            when member.cost > misfit.funds then 'tokens_short'
            else 'again' end) as verdict,
        uuid7() as job_id
    from member
    left join reckoned on reckoned.n = member.n
    left join misfit on misfit.user_id = member.user_id
),
keyed as (
    insert into idempotency_keys (user_id, key, request_sha256, job_id)
    select member.user_id, member.key, member.request_sha256, judged.job_id
    from judged join member on member.n = judged.n
    where judged.verdict is null and member.key is not null
    order by member.user_id, member.key
    on conflict (user_id, key) do nothing
    returning job_id
),
admitted as materialized (
    select member.n, judged.job_id, member.user_id, member.lane_id, member.cost, member.head_start, member.spec, member.metadata,
        member.max_wait, member.policy_version, member.clock, member.weight, member.plan, member.pool_weight, member.pool_tag,
        member.cost - greatest(0, least(member.cost, member.daily - (judged.sum - member.cost))) as purchased
    from judged join member on member.n = judged.n
    where judged.verdict is null and (judged.key is null or judged.job_id in (select job_id from keyed))
),
standing as materialized (
    select w.user_id, w.lane_id,
        case when w.head_start = 0
            then (select max(j.tag) from jobs j
                where j.user_id = w.user_id and j.lane_id = w.lane_id and j.state = 'queued' and j.tag > w.clock)
            else (select max(j.tag + j.head_start) from jobs j
                where j.user_id = w.user_id and j.lane_id = w.lane_id and j.state = 'queued' and j.tag > w.clock - w.head_start)
        end as last_tag
    from (select user_id, lane_id, min(clock) as clock, max(head_start) as head_start from admitted group by user_id, lane_id) w
),
tagged as materialized (
    select a.n, a.job_id, a.head_start,
        greatest(a.clock, s.last_tag) + sum(a.cost / a.weight) over (partition by a.user_id, a.lane_id order by a.n) as tag,
        case when a.pool_weight is not null then greatest(a.clock, a.pool_tag)
            + sum(a.cost * %(processes)s::integer / a.pool_weight) over (partition by a.plan, a.lane_id order by a.n) end as pool_tag
    from admitted a join standing s on s.user_id = a.user_id and s.lane_id = a.lane_id
),
queued as (
    insert into jobs (id, user_id, lane_id, tag, head_start, cost, purchased, start_by, policy_version)
    select a.job_id, a.user_id, a.lane_id, greatest(tagged.tag, tagged.pool_tag) - a.head_start, a.head_start, a.cost, a.purchased,
        now() + make_interval(secs => a.max_wait), a.policy_version
    from admitted a join tagged on tagged.n = a.n
    returning id, tag, created_at
),
specified as (
    insert into job_specs (job_id, spec, metadata)
    select job_id, spec::jsonb, metadata::jsonb from admitted
),
told as (
    insert into job_events (job_id, name, attempt)
    select job_id, 'job.submitted', 0 from admitted
)
select member.n::integer as n,
    case when judged.verdict is null and queued.id is null then 'again'
        -- a twin elsewhere was faster, so what was reckoned for those behind it was too much
        when judged.verdict in ('rate_limited', 'queue_full', 'tokens_short') and exists (
            select from judged j left join queued q on q.id = j.job_id
            where j.user_id = member.user_id and j.n < member.n and j.verdict is null and q.id is null) then 'again'
        else judged.verdict end as refusal,
    coalesce(queued.id, member.known_job_id) as job_id, queued.tag, queued.created_at,
    case when queued.id is not null then member.plan end as pool_plan, tagged.pool_tag,
    greatest(0, case when member.purchased < 0 then member.purchased else member.daily + member.purchased end)::bigint as available,
    greatest(0, member.calls - coalesce(judged.place, 0))::integer as calls_left,
    member.submits_per_minute as calls_per_minute, member.busy_seconds,
    ((utc_day(now()) + 1)::timestamp at time zone 'UTC') as resets_at,
    extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8 as resets_in
from member
join judged on judged.n = member.n
left join queued on queued.id = judged.job_id
left join tagged on tagged.n = member.n
order by member.n;

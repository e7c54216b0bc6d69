-- What one claim does together with others' work.

-- hand_over :one
-- Admits a lone order and looks on behalf of one place, in one statement and one commit: `admission.submit_one` and
-- `queue.claim_one`, whose rows stand here side by side. When the order is all there is for this place it is leased as it is
-- written; else the claim looks right behind it, and takes a job of this user or none. What is refused looks for nothing.
with placed as materialized (
    select o.refusal, o.job_id, o.tag, o.created_at, o.pool, o.available, o.calls_left, o.calls_per_minute, o.busy_seconds,
        o.lease_token
    from submit_one(%(user_id)s::uuid, %(into_lane_id)s::integer, %(cost)s::integer, %(pixels)s::integer,
        %(video_seconds)s::float8, %(head_start)s::float8, %(process_clock)s::float8, %(pool_tokens)s::jsonb,
        %(max_wait)s::integer, %(key)s::text, %(request_sha256)s::bytea, %(policy_version)s::integer,
        %(spent_plans)s::text[], case when not %(is_full)s::boolean then %(worker_id)s::uuid end, %(slot)s::smallint,
        %(claim_id)s::uuid, %(lane_id)s::integer[], %(bound)s::float8[], %(offer_seconds)s::float8) o
),
specified as (
    insert into job_specs (job_id, spec, metadata, webhook_url)
    select job_id, %(spec)s::jsonb, %(metadata)s::jsonb, %(webhook_url)s::text from placed where refusal is null
),
-- An argument that names what was placed makes sure that this comes after it.
claimed as materialized (
    select c.refusal, c.job_id, c.attempt, c.lease_token, c.expires_in, c.lane_id, c.tag, c.clock, c.head_tag, c.key, c.cost,
        c.contended, c.spec
    from placed cross join lateral claim_one(%(worker_id)s::uuid, %(slot)s::smallint, %(claim_id)s::uuid,
        %(is_full)s::boolean, %(lane_id)s::integer[], %(bound)s::float8[], %(clock)s::float8[], %(tag_offset)s::float8[],
        %(served_at)s::timestamptz[], %(loaded_lane_id)s::integer, %(pool_clock)s::float8, %(offer_seconds)s::float8,
        %(affinity)s::float8, %(patience)s::float8, %(lag)s::float8,
        case when placed.job_id is not null then %(user_id)s::uuid end) c
    where placed.refusal is null and placed.lease_token is null
    union all
    select null, placed.job_id, 1, placed.lease_token, %(offer_seconds)s::float8, lane.id, placed.tag,
        placed.tag + %(head_start)s::float8, placed.tag,
        placed.tag + lane.tag_offset + greatest(0, %(pool_clock)s::float8 - %(lag)s::float8 - lane.tag_offset
            - greatest(placed.tag + %(head_start)s::float8, lane.clock)),
        %(cost)s::integer, false, null
    from placed
    join unnest(%(lane_id)s::integer[], %(clock)s::float8[], %(tag_offset)s::float8[]) as lane (id, clock, tag_offset)
        on lane.id = %(into_lane_id)s::integer
    where placed.lease_token is not null
)
select 1 as n, placed.refusal, placed.job_id, placed.tag, placed.created_at, placed.pool, placed.available, placed.calls_left,
    placed.calls_per_minute, placed.busy_seconds,
    (utc_day(now()) + 1)::timestamp at time zone 'UTC' as resets_at,
    extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8 as resets_in,
    claimed.refusal as claim_refusal, claimed.job_id as claimed_job_id, claimed.attempt, claimed.lease_token,
    claimed.expires_in, case when claimed.job_id = placed.job_id then %(spec)s::text else claimed.spec end as spec,
    claimed.lane_id, claimed.tag as claimed_tag, claimed.clock, claimed.head_tag, claimed.key, claimed.cost,
    now() as claimed_at, coalesce(claimed.contended, false) as contended
from placed left join claimed on true;

-- Deliveries of webhooks: from the log of events to what each receiver answered.

-- wanted :one
-- Whether anybody wants to be told anything, up to where the log is settled at this moment, and by whose count: a server that
-- took over from another may give out the same numbers again (its timeline is another then).
select exists (select from webhook_endpoints where disabled_at is null) as wanted,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xid,
    timeline() as timeline;

-- rest :run
-- Nobody wants to be told, so the cursor follows now and then without reading.
update webhook_cursor set epoch = e.token, xid = %(xid)s::text::xid8, seq = 0, moved_at = now()
from (select token from event_epochs order by number desc limit 1) e
where timeline() = %(timeline)s::text
    and moved_at < now() - make_interval(secs => %(rest_seconds)s::float8)
    and (webhook_cursor.epoch <> e.token or webhook_cursor.xid < %(xid)s::text::xid8);

-- relay :one
-- Reads on in the log from the cursor, or from where this process last saw that nobody wanted anything, makes the
-- deliveries and moves the cursor: one transaction, and one process at a time. No row read: there is nothing new, or
-- somebody else is at it.
with epoch as materialized (
    select e.token, e.first_seq from event_epochs e order by e.number desc limit 1
),
held as materialized (
    select c.epoch, c.xid, c.seq from webhook_cursor c for update skip locked
),
place as materialized (
    select case when is_ahead then h.xid else %(idle_xid)s::text::xid8 end as xid, case when is_ahead then h.seq else 0 end as seq
    from held h cross join epoch
    cross join lateral (select h.epoch = epoch.token and h.xid >= %(idle_xid)s::text::xid8 as is_ahead) a
),
tail as materialized (
    select t.xid, t.seq, t.job_id, t.name, t.at
    from place cross join lateral (
        select e.xid, e.seq, e.job_id, e.name, e.at from job_events e
        where (e.xid, e.seq) > (place.xid, place.seq) and e.xid < pg_snapshot_xmin(pg_current_snapshot())
            and e.seq > (select first_seq from epoch)
        order by e.xid, e.seq limit %(most)s::integer
    ) t
),
news as materialized (
    select t.seq, t.job_id, t.name, t.at, (select j.user_id from jobs j where j.id = t.job_id) as user_id
    from tail t
    where t.name in ('job.started', 'job.succeeded', 'job.failed', 'job.canceled', 'job.expired')
        and t.at > now() - make_interval(secs => %(reach_seconds)s::float8)
),
addressed as materialized (
    select n.seq, n.job_id, n.name, n.at, w.id as endpoint_id, w.url, w.of_order
    from news n cross join lateral (
        select e.id, coalesce(e.url, (select s.webhook_url from job_specs s where s.job_id = n.job_id)) as url, e.url is null as of_order
        from webhook_endpoints e
        where e.user_id = n.user_id and e.disabled_at is null and n.name = any (e.events) and (e.url is null or e.enabled_at <= n.at)
            and exists (select from users u where u.id = e.user_id and u.status = 'active')
        offset 0 -- looked up for each event, whatever the planner thinks of a cross product
    ) w
    where w.url is not null
),
told as (
    insert into webhook_deliveries (endpoint_id, job_id, event_seq, type, url, event_at)
    select endpoint_id, job_id, seq, name, url, at from addressed
    on conflict (endpoint_id, event_seq) do nothing
    returning id
),
over as (
    update job_specs s set webhook_url = null from addressed a
    where s.job_id = a.job_id and a.of_order and a.name <> 'job.started'
),
moved as (
    update webhook_cursor c set epoch = epoch.token, xid = last.xid, seq = last.seq, moved_at = now()
    from epoch, (select xid, seq from tail order by xid desc, seq desc limit 1) last
    where c.one
)
select (select count(*) from tail)::integer as read, (select count(*) from told)::integer as told;

-- lock_claims :run
-- Processes take deliveries one after the other, so that what is on its way is counted right. Until the end of the
-- transaction.
select pg_advisory_xact_lock(hashtext('webhook_deliveries'));

-- claim :many
-- Leases deliveries that are due: at most so many at once to one line (an endpoint and a host), to one endpoint and to one
-- host, the longest due first. When much is due it walks from line to line, so a long line is no longer than a short one.
with recursive early as materialized (
    select d.endpoint_id, d.host from webhook_deliveries d
    where d.state = 'pending' and d.next_attempt_at <= now()
    order by d.next_attempt_at limit %(look_max)s::integer
),
walked as (
    (select d.endpoint_id, d.host from webhook_deliveries d
    where d.state = 'pending' and (select count(*) from early) = %(look_max)s::integer
    order by d.endpoint_id, d.host limit 1)
    union all
    select next.endpoint_id, next.host
    from walked l cross join lateral (
        select d.endpoint_id, d.host from webhook_deliveries d
        where d.state = 'pending' and (d.endpoint_id, d.host) > (l.endpoint_id, l.host)
        order by d.endpoint_id, d.host limit 1
    ) next
),
lines as materialized (
    select distinct early.endpoint_id, early.host from early where (select count(*) from early) < %(look_max)s::integer
    union all
    select walked.endpoint_id, walked.host from walked
),
busy as materialized (
    select d.endpoint_id, d.host from webhook_deliveries d where d.leased_until > now()
),
due as materialized (
    select head.id, l.endpoint_id, l.host, head.next_attempt_at
    from lines l cross join lateral (
        select d.id, d.next_attempt_at from webhook_deliveries d
        where d.state = 'pending' and d.endpoint_id = l.endpoint_id and d.host = l.host and d.next_attempt_at <= now()
        order by d.next_attempt_at
        limit greatest(0, %(line_max)s::integer
            - (select count(*) from busy b where b.endpoint_id = l.endpoint_id and b.host = l.host))
    ) head
),
ranked as materialized (
    select d.id, d.next_attempt_at,
        row_number() over (partition by d.endpoint_id order by d.next_attempt_at, d.id)
            + (select count(*) from busy b where b.endpoint_id = d.endpoint_id) as of_endpoint,
        row_number() over (partition by d.host order by d.next_attempt_at, d.id)
            + (select count(*) from busy b where b.host = d.host) as of_host
    from due d
),
picked as materialized (
    select id from ranked where of_endpoint <= %(endpoint_max)s::integer and of_host <= %(host_max)s::integer
    order by next_attempt_at, id limit %(most)s::integer
),
leased as (
    update webhook_deliveries d set lease = gen_random_uuid(),
        leased_until = now() + make_interval(secs => %(lease_seconds)s::float8),
        next_attempt_at = now() + make_interval(secs => %(lease_seconds)s::float8)
    from picked where d.id = picked.id
    returning d.id, d.lease, d.endpoint_id, d.job_id, d.type, d.url, d.event_at, d.attempts, d.step
)
select l.id, l.lease, l.endpoint_id, w.user_id, l.job_id, l.type, l.url, l.event_at, l.attempts, l.step,
    extract(epoch from clock_timestamp())::bigint as timestamp,
    array(select s.secret from webhook_secrets s
        where s.endpoint_id = l.endpoint_id and (s.expires_at is null or s.expires_at > now()) order by s.created_at desc) as keys,
    (select s.spec ->> 'traceparent' from job_specs s where s.job_id = l.job_id) as traceparent
from leased l join webhook_endpoints w on w.id = l.endpoint_id;

-- next_due :one
-- For how long the earliest delivery has been due (below 0: until it is); null when there is none. What is being sent is
-- due again when its lease ends.
select extract(epoch from now() - min(d.next_attempt_at))::float8 as due_seconds
from webhook_deliveries d where d.state = 'pending';

-- record :one
-- What became of an attempt, if its lease still holds. A delivery that failed is due again after `retry_seconds` (null: it
-- is dead). An endpoint that answered that it is gone is disabled, and so is one that has failed for too long; the one
-- of orders never is.
with tried as (
    update webhook_deliveries d set state = %(state)s::text, attempts = d.attempts + 1, step = d.step + 1, lease = null,
        leased_until = null,
        next_attempt_at = case %(state)s::text when 'pending' then now() + make_interval(secs => %(retry_seconds)s::float8) end,
        last_attempt_at = now(), last_status = %(status)s::integer, last_error = %(error)s::text,
        last_excerpt = %(excerpt)s::text, last_seconds = %(seconds)s::real,
        delivered_at = case %(state)s::text when 'delivered' then now() end
    where d.id = %(delivery_id)s::uuid and d.lease = %(lease)s::uuid
    returning d.endpoint_id, d.type
),
counted as (
    select w.id, %(state)s::text <> 'delivered' and w.failing_since < now() - make_interval(secs => %(failing_seconds)s::float8)
        and w.failing_since is not null as too_long
    from tried join webhook_endpoints w on w.id = tried.endpoint_id
),
judged as (
    update webhook_endpoints w set
        failing_since = case when %(state)s::text <> 'delivered' then coalesce(w.failing_since, now()) end,
        disabled_at = case when counted.too_long or %(gone)s::boolean then now() end,
        disabled_reason = case when %(gone)s::boolean then 'gone' when counted.too_long then 'failing' end
    from counted
    where w.id = counted.id and w.url is not null and w.disabled_at is null
        and case when %(state)s::text = 'delivered' then w.failing_since is not null
            else w.failing_since is null or counted.too_long or %(gone)s::boolean end
    returning w.disabled_reason
)
select judged.disabled_reason from tried left join judged on true;

-- abandon :run
-- Nothing more is tried at an endpoint that was disabled.
update webhook_deliveries set state = 'dead', next_attempt_at = null, lease = null, leased_until = null, last_error = 'disabled'
where endpoint_id = %(webhook_id)s::uuid and state = 'pending'
    and exists (select from webhook_endpoints w where w.id = %(webhook_id)s::uuid and w.disabled_at is not null);

-- give_back :run
-- What a process that stops was sending is due at once, for another one.
update webhook_deliveries set lease = null, leased_until = null, next_attempt_at = now()
where lease = any (%(leases)s::uuid[]);

-- add_test :one
-- A message that says only that it is a test, to an endpoint of the user. No row: there is no such endpoint.
with mine as (
    select w.id, w.url, w.disabled_at from webhook_endpoints w where w.id = %(webhook_id)s::uuid and w.user_id = %(user_id)s::uuid
),
made as (
    insert into webhook_deliveries (endpoint_id, type, url)
    select id, 'webhook.test', url from mine where url is not null and disabled_at is null
    returning id
)
select made.id, mine.url is null as of_orders, mine.disabled_at is not null as disabled from mine left join made on true;

-- redeliver :one
-- Begins anew with the schedule of a delivery, at once. One that is being sent just now stays as it is. No row: there is no
-- such delivery of the user.
with mine as (
    select d.id, w.url, w.disabled_at from webhook_deliveries d join webhook_endpoints w on w.id = d.endpoint_id
    where d.id = %(delivery_id)s::uuid and w.id = %(webhook_id)s::uuid and w.user_id = %(user_id)s::uuid
),
again as (
    update webhook_deliveries d set state = 'pending', step = 0, next_attempt_at = now(), delivered_at = null,
        url = coalesce(mine.url, d.url)
    from mine where d.id = mine.id and mine.disabled_at is null and d.lease is null
)
select mine.id, false as of_orders, mine.disabled_at is not null as disabled from mine;

-- log :many
-- Deliveries of an endpoint of the user, the newest first, from below a given one; or the one of this id.
select d.id, d.endpoint_id, d.type, d.job_id, d.url, d.state, d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status,
    d.last_error, d.last_excerpt, d.last_seconds, d.delivered_at, d.created_at
from webhook_deliveries d join webhook_endpoints w on w.id = d.endpoint_id
where d.endpoint_id = %(webhook_id)s::uuid and w.user_id = %(user_id)s::uuid
    and (%(delivery_id)s::uuid is null or d.id = %(delivery_id)s::uuid)
    and d.id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    and (%(state)s::text is null or d.state = %(state)s::text)
order by d.id desc
limit %(most)s::integer;

-- sweep :run
-- Deliveries that are over and older than the log is kept.
delete from webhook_deliveries where id in (
    select d.id from webhook_deliveries d
    where d.state <> 'pending' and d.created_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer
);

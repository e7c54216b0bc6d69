-- The log of events, read in the order in which nothing is ever jumped over: (xid, seq), up to the oldest transaction that
-- still runs.

-- begin_epoch :run
-- A new epoch, when this database was restored into another cluster.
select begin_event_epoch();

-- head :one
-- Where the log stands now: behind this position comes everything that is not settled yet, and nothing that is. A server that
-- took over from another (a standby, a rewound backup) counts on from where it was, and may give out numbers that clients
-- have seen elsewhere; what PostgreSQL calls its timeline is another then, and so is the epoch.
select left(md5(e.token || timeline()), 8) as epoch,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xid, 0::bigint as seq,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid, now() as now
from event_epochs e order by e.number desc limit 1;

-- after :many
-- The next events behind a position. They are settled up to the oldest transaction that still runs; those behind it, already
-- committed, come along at the end as a sign that looking again soon is worth it. The user is looked up for each row, as a
-- join might walk all jobs.
with page as materialized (
    select e.xid, e.seq, e.job_id, e.name, e.attempt, e.at
    from job_events e
    where (e.xid, e.seq) > (%(xid)s::text::xid8, %(seq)s::bigint)
        and e.seq > (select first_seq from event_epochs order by number desc limit 1)
    order by e.xid, e.seq limit %(most)s::integer
)
select page.xid::text::bigint as xid, page.seq, page.job_id,
    (select j.user_id from jobs j where j.id = page.job_id) as user_id,
    page.name, page.attempt, page.at, page.xid < pg_snapshot_xmin(pg_current_snapshot()) as settled
from page
order by page.xid, page.seq;

-- of_job :many
-- What has happened to a job, settled or not.
select e.xid::text::bigint as xid, e.seq, e.job_id,
    (select j.user_id from jobs j where j.id = e.job_id) as user_id,
    e.name, e.attempt, e.at, e.xid < pg_snapshot_xmin(pg_current_snapshot()) as settled
from job_events e
where e.job_id = %(job_id)s::uuid
order by e.xid, e.seq;

-- progress :many
-- The last progress of jobs, where it is another one than was seen.
select p.job_id, p.attempt, p.value, p.step, p.steps, p.preview, p.reported_at
from unnest(%(job_id)s::uuid[], %(seen_at)s::timestamptz[]) as seen (job_id, reported_at)
join job_progress p on p.job_id = seen.job_id
where p.reported_at is distinct from seen.reported_at;

-- known :many
-- How these users are recognised by a service, as far as its providers go.
select i.user_id, i.provider || ':' || i.subject as identity
from identities i
where i.user_id = any (%(user_id)s::uuid[]) and i.provider = any (%(providers)s::text[])
order by i.user_id, identity;

-- What the sweeper takes away. Rows are locked and those that another process works on are skipped.

-- stale :many
-- Files of attempts that did not succeed, some time after: nobody will ever see them. Their rows go, the notes stay.
with stale as materialized (
    select a.key
    from artifacts a join jobs j on j.id = a.job_id
    where a.created_at < now() - make_interval(secs => %(grace_seconds)s::float8)
        and a.created_at > now() - make_interval(secs => %(reach_seconds)s::float8)
        and (j.attempt <> a.attempt or j.state not in ('running', 'succeeded'))
        and not a.legal_hold
    order by a.created_at limit %(most)s::integer
    for update of a skip locked
), gone as (
    delete from artifacts using stale where artifacts.key = stale.key returning artifacts.key
)
insert into discards (key) select key from gone returning key;

-- known :many
-- Which of these files have a row.
select key from artifacts where key = any (%(keys)s::text[])
union all select key from inputs where key = any (%(keys)s::text[]);

-- idempotency_keys :run
-- A key is honoured for a day.
delete from idempotency_keys where (user_id, key) in (
    select user_id, key from idempotency_keys
    where created_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

-- progress :run
-- Last values of jobs that do not run any more.
delete from job_progress where job_id in (
    select p.job_id from job_progress p
    where p.reported_at < now() - make_interval(secs => %(age_seconds)s::float8)
        and not exists (select from jobs j where j.id = p.job_id and j.state = 'running')
    limit %(most)s::integer for update skip locked);

-- ensure_partitions :run
-- The partitions of this month and of the months ahead.
select ensure_partitions(%(ahead)s::integer);

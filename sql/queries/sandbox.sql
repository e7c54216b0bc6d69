-- The sandbox: who draws what test keys order, and what they want to happen.

-- worker :value
-- The worker that the control planes are together.
select w.id from workers w where w.trust = 'sandbox';

-- outcome :value
-- What an order wants to happen; nothing when it is just to be drawn.
select s.metadata ->> 'simulate' from job_specs s where s.job_id = %(job_id)s::uuid;

-- due :many
-- Which of these lanes hold a job that has waited for so long, and how many.
select j.lane_id, count(*)::integer as jobs from jobs j
where j.lane_id = any (%(lane_id)s::integer[]) and j.state = 'queued' and j.tag is not null
    and j.created_at < now() - make_interval(secs => %(waited_seconds)s::float8)
    and (j.start_by is null or j.start_by > now())
group by j.lane_id;

-- Tracing: attempts that have ended, as they are told to a collector.

-- attempts :many
-- By job and number: when it was offered, started and over, how it ended, and whose trace it belongs to.
select a.job_id, a.number, a.offered_at, a.started_at, a.ended_at, a.outcome, a.cause, a.slot::integer as slot,
    w.name as worker, l.kind, l.model, extract(epoch from a.offered_at - j.created_at)::float8 as waited_seconds,
    s.spec ->> 'traceparent' as traceparent
from unnest(%(job_id)s::uuid[], %(number)s::integer[]) as m (job_id, number)
join attempts a on a.job_id = m.job_id and a.number = m.number and a.ended_at is not null
join jobs j on j.id = a.job_id
join lanes l on l.id = j.lane_id and not l.sandbox
join workers w on w.id = a.worker_id
left join job_specs s on s.job_id = a.job_id;

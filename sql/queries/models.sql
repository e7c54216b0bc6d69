-- Models, as offered.

-- list :many
-- Every model in the operator's order, with whether a live slot serves it and how long its last runs took. One that is made
-- of workflows is offered for the tasks that some worker of ours can do, be it alive at the moment or not, and for none
-- else: an order that nobody could ever run is better refused than kept waiting.
select m.name, m.kind, m.title, m.vram_gib, m.weight, m.width, m.height, m.pixels_max, m.steps, m.steps_max, m.guidance,
    m.frames, m.frames_max, m.fps, m.paused_at is not null as paused,
    exists (
        select 1 from lanes l join slots s on l.id = any (s.lane_ids) join workers w on w.id = s.worker_id
        where l.kind = m.kind and l.model = m.name and not l.sandbox and s.healthy and s.quarantined_at is null
            and w.revoked_at is null and not w.draining and w.drain_requested_at is null
            and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)) as feasible_now,
    case when m.task <> '' then able.tasks
        when m.tasks = '{}' then array['text-to-' || m.kind] else m.tasks end as tasks,
    m.upscales, m.task, m.languages,
    coalesce(learnt.run_tokens, '{}') as run_tokens, coalesce(learnt.run_seconds, '{}') as run_seconds
from models m
cross join lateral (
    select array(select f.task from workflows f
        where f.kind = m.kind and f.model = m.name and f.withdrawn_at is null and exists (
            select 1 from lanes l join slots s on l.id = any (s.lane_ids) join workers w on w.id = s.worker_id
            where l.kind = f.kind and l.model = f.model and l.task = f.task and not l.sandbox and w.revoked_at is null)
        order by f.task <> m.task, f.task) as tasks
) able
left join lanes learnt on learnt.kind = m.kind and learnt.model = m.name and learnt.vram_gib = m.vram_gib
    and not learnt.sandbox and learnt.task = m.task
where m.task = '' or cardinality(able.tasks) > 0
order by m.position, m.name, m.kind;

-- applied :one
-- How many migrations the database has seen, and the least of them that code must know.
select count(*)::integer as applied, coalesce(max(needs), 0) as needs from schema_migrations;

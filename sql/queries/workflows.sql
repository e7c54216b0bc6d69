-- Workflows in force, and the models and lanes that are made of them.

-- lock :run
-- One process at a time puts workflows in force; until the end of the transaction.
select pg_advisory_xact_lock(%(key)s::bigint);

-- versions :many
-- What is in force, in short.
select w.name, w.version, w.licences, encode(sha256(convert_to(w.weights, 'UTF8')), 'hex') as weights_sha256,
    encode(sha256(convert_to(w.manifest, 'UTF8')), 'hex') as manifest_sha256
from workflows w where w.withdrawn_at is null order by w.name;

-- in_force :many
-- What is in force, whole.
select w.name, w.manifest, w.graph, w.licences, w.weights from workflows w where w.withdrawn_at is null order by w.name;

-- listed :many
-- Every workflow there ever was, with how many slots could run it, how many of them are there now, and what waits for it.
select w.name, w.manifest, w.version, w.licences, w.published_at, w.withdrawn_at, m.paused_at is not null as paused,
    able.slots as able_slots, able.live_slots,
    coalesce((select sum((select count(*) from jobs j where j.lane_id = l.id and j.state = 'queued' and j.tag is not null))
        from lanes l
        where l.kind = w.kind and l.model = w.model and l.task = w.task and not l.sandbox), 0)::integer as queued
from workflows w
join models m on m.name = w.model and m.kind = w.kind
cross join lateral (
    select count(*)::integer as slots, (count(*) filter (where s.healthy and s.quarantined_at is null and not k.draining
        and k.drain_requested_at is null
        and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)))::integer as live_slots
    from slots s join workers k on k.id = s.worker_id
    where k.revoked_at is null and exists (select 1 from lanes l where l.id = any (s.lane_ids) and l.kind = w.kind
        and l.model = w.model and l.task = w.task and not l.sandbox)
) able
order by w.name;

-- withdraw :many
-- Workflows that are not there any more. Their models, lanes and jobs stay.
update workflows set withdrawn_at = now()
where withdrawn_at is null and name <> all (%(kept)s::text[])
returning name;

-- put_models :run
-- Models as their workflows describe them. What was learnt of them, and whether they are paused, stays.
insert into models (name, kind, title, position, vram_gib, weight, width, height, pixels_max, steps, steps_max, guidance,
    frames, frames_max, fps, tasks, upscales, task, languages)
select m.name, m.kind, m.title, m.position, m.vram_gib, m.weight, m.width, m.height, m.pixels_max, m.steps, m.steps_max,
    m.guidance, m.frames, m.frames_max, m.fps, m.tasks::text[], m.upscales::smallint[], m.task, m.languages::text[]
from unnest(%(name)s::text[], %(kind)s::text[], %(title)s::text[], %(position)s::integer[], %(vram_gib)s::integer[],
    %(weight)s::float8[], %(width)s::integer[], %(height)s::integer[], %(pixels_max)s::integer[], %(steps)s::integer[],
    %(steps_max)s::integer[], %(guidance)s::float8[], %(frames)s::integer[], %(frames_max)s::integer[],
    %(fps)s::integer[], %(tasks)s::text[], %(upscales)s::text[], %(task)s::text[], %(languages)s::text[])
    as m (name, kind, title, position, vram_gib, weight, width, height, pixels_max, steps, steps_max, guidance, frames,
    frames_max, fps, tasks, upscales, task, languages)
order by m.name, m.kind
on conflict (name, kind) do update set title = excluded.title, position = excluded.position, vram_gib = excluded.vram_gib,
    weight = excluded.weight, width = excluded.width, height = excluded.height, pixels_max = excluded.pixels_max,
    steps = excluded.steps, steps_max = excluded.steps_max, guidance = excluded.guidance, frames = excluded.frames,
    frames_max = excluded.frames_max, fps = excluded.fps, tasks = excluded.tasks, upscales = excluded.upscales,
    task = excluded.task, languages = excluded.languages;

-- put :run
-- Workflows in force from now on, and a lane for each.
with put as (
    insert into workflows (name, kind, model, task, version, manifest, graph, licences, weights)
    select w.name, w.kind, w.model, w.task, w.version, w.manifest, w.graph, w.licences,
        w.weights
    from unnest(%(name)s::text[], %(kind)s::text[], %(model)s::text[], %(task)s::text[], %(version)s::text[],
        %(manifest)s::text[], %(graph)s::text[], %(licences)s::text[], %(weights)s::text[])
        as w (name, kind, model, task, version, manifest, graph, licences, weights)
    order by w.name
    on conflict (name) do update set kind = excluded.kind, model = excluded.model, task = excluded.task,
        version = excluded.version, manifest = excluded.manifest, graph = excluded.graph, licences = excluded.licences,
        weights = excluded.weights, published_at = now(), withdrawn_at = null
)
insert into lanes (kind, model, vram_gib, sandbox, task)
select w.kind, w.model, w.vram_gib, false, w.task
from unnest(%(kind)s::text[], %(model)s::text[], %(vram_gib)s::integer[], %(task)s::text[])
    as w (kind, model, vram_gib, task)
on conflict (kind, model, vram_gib, sandbox, task) do nothing;

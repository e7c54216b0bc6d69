-- Slots: what each engine of a worker can do, how it is, and whether it is trusted with work.

-- seen :run
-- What slots can do; written when it changes and now and then. `lane_ids` are arrays as text, since arrays do not nest.
insert into slots (worker_id, slot, lane_ids, loaded_lane_id, vram_gib)
select m.worker_id, m.slot, m.lane_ids::integer[], m.loaded_lane_id, m.vram_gib
from unnest(%(worker_id)s::uuid[], %(slot)s::smallint[], %(lane_ids)s::text[], %(loaded_lane_id)s::integer[],
    %(vram_gib)s::integer[]) as m (worker_id, slot, lane_ids, loaded_lane_id, vram_gib)
order by m.worker_id, m.slot
on conflict (worker_id, slot) do update set lane_ids = excluded.lane_ids, loaded_lane_id = excluded.loaded_lane_id,
    vram_gib = excluded.vram_gib, last_seen_at = now();

-- report :run
-- Health and gauges of a slot, as its agent sees them.
update slots set healthy = %(healthy)s::boolean, gpu = %(gpu)s::text::jsonb, loaded_lane_id = %(loaded_lane_id)s::integer, last_seen_at = now()
where worker_id = %(worker_id)s::uuid and slot = %(slot)s::smallint;

-- quarantine :value
-- Takes a slot that failed that many different jobs in a row out of service, unless it is the last live slot of one of
-- its lanes. A lane that only larger slots serve is no reason, as long as smaller ones do the like: what has once been too
-- large for others must not shield a broken slot. Whether it was taken; nothing for a slot that has not failed so often.
update slots set quarantined_at = case when not exists (
        select 1 from unnest(slots.lane_ids) as mine (lane_id)
        where not exists (
            select 1 from lanes l join lanes smaller on (smaller.kind, smaller.model, smaller.sandbox, smaller.task)
                = (l.kind, l.model, l.sandbox, l.task) and smaller.vram_gib < l.vram_gib
            where l.id = mine.lane_id and smaller.id = any (slots.lane_ids)
        ) and not exists (
            select 1 from slots other join workers w on w.id = other.worker_id
            where mine.lane_id = any (other.lane_ids) and (other.worker_id, other.slot) <> (slots.worker_id, slots.slot)
                and other.quarantined_at is null and w.revoked_at is null and w.drain_requested_at is null
                and other.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)))
    then now() end
where slots.worker_id = %(worker_id)s::uuid and slots.slot = %(slot)s::smallint and slots.quarantined_at is null
    and cardinality(slots.failed_jobs) >= %(quarantine_after)s::integer
returning slots.quarantined_at is not null;

-- gpus :many
-- What the slots that were heard of late say of their GPUs.
select w.name as worker, s.slot::integer as slot, s.gpu
from slots s join workers w on w.id = s.worker_id
where w.revoked_at is null and w.trust <> 'sandbox' and s.gpu <> '{}'
    and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8)
order by w.id, s.slot
limit %(most)s::integer;

-- trust :run
-- A quarantined slot has drawn a picture of its own. What it has failed stays written down until it completes a job.
update slots set quarantined_at = null
where worker_id = %(worker_id)s::uuid and slot = %(slot)s::smallint
    and quarantined_at < now() - make_interval(secs => %(proof_after)s::float8);

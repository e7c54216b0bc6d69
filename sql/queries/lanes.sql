-- Lanes, as the board of each process reads and writes them.

-- all :many
-- Every lane with the smallest tag that waits in it, read without a bound, and how many wait (up to a cap).
select l.id, l.kind, l.model, l.vram_gib, l.sandbox, l.task, l.clock, l.bound, l.tag_offset, l.paused_at is not null as paused,
    (select j.tag from jobs j where j.lane_id = l.id and j.state = 'queued' and j.tag is not null
        order by j.tag, j.id limit 1) as head_tag,
    now() as read_at
from lanes l
order by l.id;

-- pools :many
-- What all users of each plan with a pool weight have in line, lane by lane. A pool's tokens of a day bound how much this
-- reads.
select j.lane_id, j.pool as plan, sum(j.cost)::float8 as tokens
from jobs j where j.state = 'queued' and j.pool is not null
group by j.pool, j.lane_id;

-- slots :value
-- How many slots live, but for the sandbox's.
select count(*)::integer from slots s join workers w on w.id = s.worker_id
where s.quarantined_at is null and w.revoked_at is null and w.trust <> 'sandbox'
    and s.last_seen_at > now() - make_interval(secs => %(live_seconds)s::float8);

-- waiting :many
-- How many jobs wait in each of these lanes, up to a cap: as many agents are worth waking.
select l.lane_id, (select count(*) from (select 1 from jobs j where j.lane_id = l.lane_id and j.state = 'queued'
    and j.tag >= l.bound limit %(cap)s::integer) q)::integer as jobs
from unnest(%(lane_id)s::integer[], %(bound)s::float8[]) as l (lane_id, bound);

-- write_down :run
-- What a process has learnt about its lanes. The clock only rises, whoever writes.
update lanes set clock = greatest(lanes.clock, m.clock), bound = m.bound, tag_offset = m.tag_offset,
    run_tokens = case when m.seconds = '{}' then lanes.run_tokens
        else (m.tokens::real[] || lanes.run_tokens)[1:%(kept)s::integer] end,
    run_seconds = case when m.seconds = '{}' then lanes.run_seconds
        else (m.seconds::real[] || lanes.run_seconds)[1:%(kept)s::integer] end
from unnest(%(lane_id)s::integer[], %(clock)s::float8[], %(bound)s::float8[], %(tag_offset)s::float8[], %(tokens)s::text[],
        %(seconds)s::text[]) as m (lane_id, clock, bound, tag_offset, tokens, seconds)
where lanes.id = m.lane_id;

-- ensure :one
-- The lane of a model at a VRAM class (and for a task, where each has its own), made when it does not exist yet.
insert into lanes (kind, model, vram_gib, sandbox, task)
values (%(kind)s::text, %(model)s::text, %(vram_gib)s::integer, %(sandbox)s::boolean, %(task)s::text)
on conflict (kind, model, vram_gib, sandbox, task) do update set kind = excluded.kind
returning id;

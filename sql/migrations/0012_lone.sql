-- The lone order and the lone claim, step by step. What comes alone finds the database idle and cold, and then most of
-- its time is not spent on rows but on starting up a plan with sixty nodes, of which it uses ten; small statements,
-- each with a plan that is kept, take less than half of it. Batches keep their one statement (`admission.submit`,
-- `queue.claim`): there the start is shared. Tests compare both ways.

-- Admits one order and puts it in line, by the rules and in the order of `admission.submit`. With a place that waits for
-- work (`for_worker` and what follows), and when nothing else is in line in any lane of that place, the job is born
-- leased: it is the one that a claim right behind it would be given.
create function submit_one(
    of_user uuid, into_lane integer, tokens integer, pixels integer, video_seconds double precision,
    ahead double precision, process_clock double precision, pool_tokens jsonb, wait_seconds integer, idempotency text,
    hash bytea, policy integer, spent_plans text[],
    for_worker uuid default null, for_slot smallint default null, claim uuid default null,
    able_lanes integer[] default null, bounds double precision[] default null, offer_seconds double precision default null,
    out refusal text, out job_id uuid, out tag double precision, out created_at timestamptz, out pool text,
    out available bigint, out calls_left integer, out calls_per_minute integer, out busy_seconds double precision,
    out lease_token uuid)
    language plpgsql volatile
as $$
declare
    today date := utc_day(now());
    customer record;
    known record;
    daily bigint;
    calls integer;
    last_tag double precision;
begin
    available := 0;
    calls_left := 0;
    select b.purchased, b.day, b.daily, b.queued, b.running, b.submits_until, b.suspended, p.plan, p.weight, p.pool_weight,
        p.running_max, p.images, p.pixels_max, p.video_seconds_max, p.submits_per_minute, p.queued_max, p.tokens_per_day,
        l.kind, greatest(l.clock, process_clock) as clock,
        l.paused_at is not null or mo.paused_at is not null or s.paused_at is not null as paused
    into customer
    from balances b
    join user_plans p on p.user_id = b.user_id
    cross join lanes l
    join models mo on mo.name = l.model and mo.kind = l.kind
    join switches s on s.name = 'submits'
    where b.user_id = of_user and l.id = into_lane
    for no key update of b;

    if customer.plan is not null then
        busy_seconds := extract(epoch from greatest(customer.submits_until, now()) - now());
        calls := floor((60 - busy_seconds) * customer.submits_per_minute / 60);
        calls_per_minute := customer.submits_per_minute;
        calls_left := greatest(0, calls - 1);
        daily := case when customer.plan = any (spent_plans) or customer.purchased < 0 then 0
            else greatest(0, customer.tokens_per_day - case customer.day when today then customer.daily else 0 end) end;
        available := daily + greatest(0, customer.purchased);
    end if;

    if idempotency is not null then
        select k.job_id, k.request_sha256 = hash as same into known
        from idempotency_keys k where k.user_id = of_user and k.key = idempotency;
        if found then
            refusal := case when known.same then 'replayed' else 'idempotency_mismatch' end;
            job_id := known.job_id;
            return;
        end if;
    end if;
    refusal := case
        when customer.plan is null then 'merged'
        when customer.day > today then 'again'
        when customer.suspended then 'suspended'
        when customer.paused then 'paused'
        when customer.kind = 'image' and not customer.images or pixels > customer.pixels_max
            or video_seconds > customer.video_seconds_max then 'plan_forbids'
        when calls < 1 then 'rate_limited'
        when customer.queued >= customer.queued_max then 'queue_full'
        when tokens > available then 'tokens_short'
    end;
    if refusal is not null then
        return;
    end if;

    job_id := uuid7();
    if idempotency is not null then
        insert into idempotency_keys (user_id, key, request_sha256, job_id) values (of_user, idempotency, hash, job_id)
        on conflict (user_id, key) do nothing;
        if not found then
            refusal := 'again';
            job_id := null;
            return;
        end if;
    end if;

    if for_worker is not null and customer.running < customer.running_max then
        perform from workers w left join slots s on s.worker_id = w.id and s.slot = for_slot
        where w.id = for_worker and w.revoked_at is null and w.drain_requested_at is null and s.quarantined_at is null
            and not exists (
                select from unnest(able_lanes, bounds) as able (id, bound) cross join lateral (
                    select from jobs q where q.state = 'queued' and q.lane_id = able.id and q.tag >= able.bound
                    order by q.tag, q.id limit 1
                ) head);
        if found then
            lease_token := gen_random_uuid();
        end if;
    end if;
    if lease_token is not null then
        null; -- nothing of theirs is in line either
    elsif ahead = 0 then
        select j.tag into last_tag from jobs j
        where j.state = 'queued' and (j.user_id, j.lane_id, j.tag) > (of_user, into_lane, customer.clock)
            and (j.user_id, j.lane_id, j.tag) < (of_user, into_lane, 'infinity')
        order by j.user_id desc, j.lane_id desc, j.tag desc limit 1;
    else
        select max(j.tag + j.head_start) into last_tag from jobs j
        where j.state = 'queued' and (j.user_id, j.lane_id, j.tag) > (of_user, into_lane, customer.clock - ahead)
            and (j.user_id, j.lane_id, j.tag) < (of_user, into_lane, 'infinity');
    end if;
    tag := greatest(customer.clock, last_tag) + tokens / customer.weight;
    if customer.pool_weight is not null then
        pool := customer.plan;
        tag := greatest(tag, customer.clock + (coalesce((pool_tokens ->> pool)::float8, 0) + tokens) / customer.pool_weight);
    end if;
    tag := tag - ahead;
    created_at := now();

    if lease_token is null then
        insert into jobs (id, user_id, lane_id, tag, pool, head_start, cost, running_max, purchased, start_by, policy_version)
        values (job_id, of_user, into_lane, tag, pool, ahead, tokens, customer.running_max,
            tokens - greatest(0, least(tokens, daily)), now() + make_interval(secs => wait_seconds), policy);
        insert into job_events (job_id, name, attempt) values (job_id, 'job.submitted', 0);
    else
        insert into jobs (id, user_id, lane_id, tag, pool, head_start, cost, running_max, purchased, start_by, policy_version,
            state, attempt, phase, worker_id, slot, claim_id, lease_token, lease_expires_at)
        values (job_id, of_user, into_lane, tag, pool, ahead, tokens, customer.running_max,
            tokens - greatest(0, least(tokens, daily)), now() + make_interval(secs => wait_seconds), policy,
            'running', 1, 'offered', for_worker, for_slot, claim, lease_token, now() + make_interval(secs => offer_seconds));
        insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
        values (job_id, 1, for_worker, for_slot, claim, lease_token);
        insert into job_events (job_id, name, attempt) values (job_id, 'job.submitted', 0), (job_id, 'job.claimed', 1);
    end if;
end
$$;

-- Leases one job to one slot, by the rules of `queue.claim`. Only the head of each lane is looked at, the best is
-- chosen, and one job of its lane is locked. A transaction that holds a user's balance already (`of_user`) takes a job of
-- that user or none: it would wait for the others out of order.
create function claim_one(
    for_worker uuid, for_slot smallint, claim uuid, is_full boolean,
    able_lanes integer[], bounds double precision[], clocks double precision[], offsets double precision[],
    served timestamptz[], loaded_lane integer, pool_clock double precision, offer_seconds double precision,
    affinity double precision, patience double precision, lag double precision, of_user uuid,
    out refusal text, out job_id uuid, out attempt integer, out lease_token uuid, out expires_in double precision,
    out lane_id integer, out tag double precision, out clock double precision, out head_tag double precision,
    out key double precision, out cost integer, out contended boolean, out spec text)
    language plpgsql volatile
as $$
declare
    here record;
    held record;
    best record;
    picked record;
begin
    contended := false;
    expires_in := offer_seconds;
    select w.id is null or w.revoked_at is not null as revoked, w.drain_requested_at is not null as draining,
        s.quarantined_at is not null as quarantined,
        cardinality(able_lanes) = 1 and (
            select l.paused_at is null and mo.paused_at is null
            from lanes l join models mo on mo.name = l.model and mo.kind = l.kind
            where l.id = able_lanes[1]) as in_one_lane
    into here
    from workers w left join slots s on s.worker_id = w.id and s.slot = for_slot
    where w.id = for_worker;
    refusal := case when here.revoked is not false then 'revoked' when here.draining then 'draining'
        when here.quarantined then 'quarantined' when is_full then 'slot_full' end;

    select j.id, j.attempt, j.lease_token, j.lease_expires_at into held from jobs j
    where j.state = 'running' and j.worker_id = for_worker and j.claim_id = claim and j.slot = for_slot;
    if found then
        refusal := case when refusal = 'revoked' then refusal end;
        job_id := held.id;
        attempt := held.attempt;
        lease_token := held.lease_token;
        expires_in := greatest(0, extract(epoch from held.lease_expires_at - now()));
        select s.spec into spec from job_specs s where s.job_id = held.id;
        return;
    end if;
    if refusal is not null then
        return;
    end if;

    if here.in_one_lane then -- nothing to compare
        select able_lanes[1] as lane_id, bounds[1] as bound, null::float8 as shift into best;
    else
        select lane.id as lane_id, lane.bound, lane.tag_offset + shift.lift as shift
        into best
        from unnest(able_lanes, bounds, clocks, offsets, served) as lane (id, bound, clock, tag_offset, served_at)
        join lanes l on l.id = lane.id and l.paused_at is null
        join models mo on mo.name = l.model and mo.kind = l.kind and mo.paused_at is null
        cross join lateral (
            select q.id, q.tag, q.head_start, q.created_at from jobs q
            where q.state = 'queued' and q.lane_id = lane.id and q.tag >= lane.bound
                and (q.start_by is null or q.start_by > now())
                and (select b.running from balances b where b.user_id = q.user_id) < q.running_max
            order by q.tag, q.id
            limit 1
        ) head
        cross join lateral (select greatest(head.tag + head.head_start, lane.clock) + lane.tag_offset as place) line
        cross join lateral (
            select greatest(0, claim_one.pool_clock - claim_one.lag - line.place) as lift,
                case when lane.id <> loaded_lane
                        and extract(epoch from now() - greatest(lane.served_at, head.created_at)) < patience
                    then affinity else 0 end as back
        ) shift
        order by line.place - head.head_start + shift.lift + shift.back, line.place - head.head_start, head.tag, head.id
        limit 1;
        if not found then
            return;
        end if;
    end if;
    contended := true;

    select q.id, q.user_id, q.running_max, q.attempt, q.tag, q.head_start, q.cost, (
            select h.tag from jobs h where h.state = 'queued' and h.lane_id = best.lane_id and h.tag >= best.bound
            order by h.tag, h.id limit 1) as head_tag
    into picked
    from jobs q
    where q.state = 'queued' and q.lane_id = best.lane_id and q.tag >= best.bound
        and (q.start_by is null or q.start_by > now())
        and (select b.running from balances b where b.user_id = q.user_id) < q.running_max
    order by q.tag, q.id
    limit 1
    for update skip locked;
    if not found and here.in_one_lane then
        contended := exists (
            select from jobs q
            where q.state = 'queued' and q.lane_id = best.lane_id and q.tag >= best.bound
                and (q.start_by is null or q.start_by > now())
                and (select b.running from balances b where b.user_id = q.user_id) < q.running_max);
        return;
    end if;
    if picked.id is null or picked.user_id <> of_user then
        return;
    end if;

    update balances b set queued = b.queued - 1, running = b.running + 1
    where b.user_id = picked.user_id and b.running < picked.running_max;
    if not found then
        return;
    end if;
    contended := false;
    job_id := picked.id;
    attempt := picked.attempt + 1;
    lease_token := gen_random_uuid();
    lane_id := best.lane_id;
    tag := picked.tag;
    clock := picked.tag + picked.head_start;
    head_tag := picked.head_tag;
    key := picked.tag + coalesce(best.shift, offsets[1] + greatest(0,
        pool_clock - lag - offsets[1] - greatest(picked.tag + picked.head_start, clocks[1])));
    cost := picked.cost;
    update jobs set state = 'running', attempt = claim_one.attempt, phase = 'offered', worker_id = for_worker,
        slot = for_slot, claim_id = claim, lease_token = claim_one.lease_token,
        lease_expires_at = now() + make_interval(secs => offer_seconds)
    where id = picked.id;
    insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token)
    values (picked.id, attempt, for_worker, for_slot, claim, lease_token);
    insert into job_events (job_id, name, attempt) values (picked.id, 'job.claimed', attempt);
    select s.spec into spec from job_specs s where s.job_id = picked.id;
end
$$;

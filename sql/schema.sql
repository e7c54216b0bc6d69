-- The sum of sql/migrations, written by `make snapshot` for reading; never executed.

CREATE FUNCTION public.begin_event_epoch() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    here bigint := (select system_identifier from pg_control_system());
begin
    if here = (select system_identifier from event_epochs order by number desc limit 1) then
        return;
    end if;
    lock table event_epochs in exclusive mode;
    insert into event_epochs (system_identifier, first_seq)
    select here, nextval('job_events_seq')
    where here is distinct from (select system_identifier from event_epochs order by number desc limit 1);
end
$$;

CREATE FUNCTION public.check_publication() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'proposed' or not exists (
            select from jobs j
            where j.id = new.job_id and j.attempt = new.attempt and j.state = 'succeeded' and not is_test(j.user_id)
        ) then
            raise check_violation using message = 'only the result of a job that succeeded can be proposed';
        end if;
    elsif (new.job_id, new.attempt, new.index) is distinct from (old.job_id, old.attempt, old.index)
        or (old.state, new.state) not in (
            ('proposed', 'proposed'), ('proposed', 'approved'), ('proposed', 'refused'), ('proposed', 'withdrawn'),
            ('approved', 'approved'), ('approved', 'refused'), ('approved', 'withdrawn'), ('approved', 'proposed'),
            ('withdrawn', 'proposed'))
    then
        raise check_violation using message = format('a publication that is %s cannot become %s', old.state, new.state);
    elsif old.state = 'approved' and new.state = 'approved' and (new.id, new.show_prompt) is distinct from (old.id, old.show_prompt) then
        raise check_violation using message = 'what was approved is shown as it was approved';
    end if;
    return new;
end
$$;

CREATE FUNCTION public.check_published() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if not exists (
        select from publications p
        where p.job_id = new.job_id and p.attempt = new.attempt and p.index = new.index and p.state = 'approved'
    ) then
        raise check_violation using message = 'only what its owner proposed and the operator approved is published';
    end if;
    return new;
end
$$;

CREATE FUNCTION public.claim_one(for_worker uuid, for_slot smallint, claim uuid, is_full boolean, able_lanes integer[], bounds double precision[], clocks double precision[], offsets double precision[], served timestamp with time zone[], loaded_lane integer, pool_clock double precision, offer_seconds double precision, affinity double precision, patience double precision, lag double precision, of_user uuid, OUT refusal text, OUT job_id uuid, OUT attempt integer, OUT lease_token uuid, OUT expires_in double precision, OUT lane_id integer, OUT tag double precision, OUT clock double precision, OUT head_tag double precision, OUT key double precision, OUT cost integer, OUT contended boolean, OUT spec text) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.depart(of_user uuid, OUT refusal text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_hashjoin TO 'on'
    AS $_$
declare
    mine uuid[];
    names text[];
begin
    perform pg_advisory_xact_lock(hashtext('merge_users')); -- nobody becomes part of somebody who leaves
    perform from users where id = of_user for no key update;
    select case when count(*) = 0 then 'unknown' when bool_or(status in ('merged', 'deleted')) then min(status)
        when bool_or(test_of is not null) then 'unknown' end
        into refusal from users where id = of_user;
    if refusal is not null then
        return;
    end if;
    mine := household(of_user);
    names := array(select i.provider || ':' || i.subject from identities i where i.user_id = any (mine));

    with given_up as ( -- before, as the audit log still says
        delete from unlinked_identities g
        where (g.provider || ':' || g.subject) in (
            select l.object_id from audit_log l
            where l.object_kind = 'identity' and l.verb = 'unlink' and l.detail ->> 'user' = any (mine::text[]))
        returning g.provider, g.subject, g.unlinked_at
    )
    insert into unlinked_identities (provider, subject, unlinked_at)
    select i.provider, identity_digest(i.provider, i.subject), now() from identities i where i.user_id = any (mine)
    union all
    select g.provider, identity_digest(g.provider, g.subject), g.unlinked_at from given_up g
    on conflict (provider, subject) do update set unlinked_at = excluded.unlinked_at;
    delete from chats c using identities i
        where i.user_id = any (mine) and c.provider = i.provider and c.subject = i.subject;
    delete from chat_orders o using identities i
        where i.user_id = any (mine) and o.provider = i.provider and o.subject = i.subject;
    delete from guesses g where g.guesser = any (names || mine::text[]);
    update audit_log l set object_id = 'erased'
        where l.object_kind = 'identity' and (l.object_id = any (names) or l.detail ->> 'user' = any (mine::text[])
            or l.actor_kind = 'user' and l.actor_id = any (mine::text[]));
    update audit_log l set detail = l.detail - 'reason'
        where l.detail ? 'reason' and (l.object_kind, l.object_id) in (
            select 'user', one.id::text from unnest(mine) as one (id)
            union all select 'payment', p.id::text from payments p where p.user_id = any (mine));
    update audit_log l set detail = l.detail - '{networks,origins}'::text[]
        where (l.object_kind, l.object_id) in (select 'key', k.id from api_keys k where k.user_id = any (mine));

    delete from identities where user_id = any (mine);
    delete from sessions where user_id = any (mine);
    delete from login_links where user_id = any (mine);
    delete from link_codes where user_id = any (mine);
    delete from sign_ins where for_user = any (mine);
    delete from idempotency_keys where user_id = any (mine);
    delete from key_spending s using api_keys k where k.user_id = any (mine) and s.key_id = k.id;
    delete from api_keys where user_id = any (mine);
    delete from webhook_endpoints where user_id = any (mine);
    delete from shares s using jobs j where j.user_id = any (mine) and s.job_id = j.id;
    update publications p set state = 'withdrawn', decided_at = null, decided_by = null
        from jobs j where j.user_id = any (mine) and p.job_id = j.id and p.state in ('proposed', 'approved');
    update reports set text = '' where reporter_id = any (mine) and text <> '';
    update payments set payer = null, place = '' where user_id = any (mine);
    update ledger_transfers t set reason = 'erased'
        where t.user_id = any (mine) and t.reason !~ '^merged (into|from) [0-9a-f-]{36}$';
    update users set name = 'deleted:' || id, status = case status when 'merged' then status else 'deleted' end,
        plan = case when test_of is null then 'free' else plan end, paid_until = null, time_zone = 'UTC', choices = '{}',
        embed_metadata = true
        where id = any (mine);
    insert into departures (user_id) values (of_user);
end
$_$;

CREATE FUNCTION public.ensure_partitions(ahead integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET lock_timeout TO '500ms'
    AS $$
declare
    missing record;
begin
    for missing in
        select parent, parent || to_char(first at time zone 'UTC', '_YYYY_MM') as name, first
        from unnest(array['attempts', 'job_events']) as parent,
            generate_series(0, least(ahead, 24)) as k,
            lateral (select date_trunc('month', now(), 'UTC') + make_interval(months => k) as first) as month
        where to_regclass(parent || to_char(first at time zone 'UTC', '_YYYY_MM')) is null
        order by first, parent
    loop
        lock table jobs in share row exclusive mode;
        execute format('create table %I partition of %I for values from (%L) to (%L)',
            missing.name, missing.parent, uuid7_floor(missing.first), uuid7_floor(missing.first + interval '1 month'));
    end loop;
end
$$;

CREATE FUNCTION public.finish_departure(of_user uuid, OUT finished boolean, OUT keys text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    mine uuid[] := household(of_user);
begin
    with gone as (
        delete from inputs i
        where i.user_id = any (mine) and not exists (select from input_uses u where u.input_id = i.id)
        returning i.key
    ),
    noted as (
        insert into discards (key) select gone.key from gone on conflict do nothing
    )
    select coalesce(array_agg(gone.key), '{}') into keys from gone;
    finished := not exists (select from balances b where b.user_id = any (mine) and (b.queued > 0 or b.running > 0))
        and not exists (select from withheld w join jobs j on j.id = w.job_id where j.user_id = any (mine))
        and not exists (select from inputs i where i.user_id = any (mine))
        and not exists (
            select from unnest(mine) as one (id) left join retirements r on r.user_id = one.id
            where exists (
                select from jobs j where j.user_id = one.id
                    and j.id > coalesce(r.up_to, '00000000-0000-0000-0000-000000000000')));
    if finished then
        update reports r set text = '' from jobs j where j.user_id = any (mine) and r.job_id = j.id and r.text <> '';
        update departures d set finished_at = now() where d.user_id = of_user and d.finished_at is null;
    end if;
end
$$;

CREATE FUNCTION public.hold_tokens() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    one record;
begin
    select count(*) over () as members, id, user_id, cost, purchased, cost - purchased as daily,
        (state = 'queued')::integer as queued, (state = 'running')::integer as running, utc_day(created_at) as day
    into one from born limit 1;
    if one.members = 1 then -- a lone order: small statements start up sooner
        if one.daily > 0 then
            insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
            values (one.user_id, 'hold', 'daily', 'held', one.daily, one.day, one.id);
        end if;
        if one.purchased > 0 then
            insert into ledger_transfers (user_id, kind, debit, credit, amount, job_id)
            values (one.user_id, 'hold', 'purchased', 'held', one.purchased, one.id);
        end if;
        insert into usage_daily as u (user_id, day, jobs, daily, purchased)
        values (one.user_id, one.day, 1, one.daily, one.purchased)
        on conflict (user_id, day) do update set jobs = u.jobs + 1, daily = u.daily + excluded.daily,
            purchased = u.purchased + excluded.purchased;
        update balances b set purchased = b.purchased - one.purchased, held = b.held + one.cost,
            queued = b.queued + one.queued, running = b.running + one.running, day = greatest(b.day, one.day),
            daily = case when b.day = one.day then b.daily + one.daily when b.day < one.day then one.daily else b.daily end,
            submits_until = greatest(b.submits_until, now()) + interval '1 minute' / (
                select p.submits_per_minute from user_plans p where p.user_id = one.user_id)
        where b.user_id = one.user_id;
        return null;
    end if;
    insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
    select born.user_id, 'hold', part.account, 'held', part.amount,
        case part.account when 'daily' then utc_day(born.created_at) end, born.id
    from born cross join lateral (values ('daily', born.cost - born.purchased), ('purchased', born.purchased))
        as part (account, amount)
    where part.amount > 0;

    insert into usage_daily as u (user_id, day, jobs, daily, purchased)
    select user_id, utc_day(created_at), count(*), sum(cost - purchased), sum(purchased)
    from born group by 1, 2 order by 1, 2
    on conflict (user_id, day) do update set jobs = u.jobs + excluded.jobs, daily = u.daily + excluded.daily,
        purchased = u.purchased + excluded.purchased;

    update balances set purchased = balances.purchased - mine.purchased, held = balances.held + mine.cost,
        queued = balances.queued + mine.queued, running = balances.running + mine.running,
        day = greatest(balances.day, mine.day),
        daily = case when balances.day = mine.day then balances.daily + mine.daily
            when balances.day < mine.day then mine.daily else balances.daily end,
        submits_until = greatest(balances.submits_until, now()) + mine.jobs * interval '1 minute' / p.submits_per_minute
    from (
        select user_id, max(utc_day(created_at)) as day, count(*)::integer as jobs,
            count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'running') as running,
            sum(cost) as cost,
            sum(purchased) as purchased, sum(cost - purchased) as daily
        from born group by user_id
    ) mine
    join user_plans p on p.user_id = mine.user_id
    where balances.user_id = mine.user_id;
    return null;
end
$$;

CREATE FUNCTION public.is_test(user_id uuid) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((get_byte(uuid_send(user_id), 6) >> 4) = 8);

CREATE FUNCTION public.twin_of(user_id uuid) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (OVERLAY((user_id)::text PLACING '8'::text FROM 15 FOR 1))::uuid;

CREATE FUNCTION public.uuid7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;

CREATE TABLE public.users (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    plan text DEFAULT 'free'::text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    paid_until timestamp with time zone,
    merged_into uuid,
    merged_at timestamp with time zone,
    embed_metadata boolean DEFAULT true NOT NULL,
    test_of uuid,
    choices jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT merged_into_somebody CHECK ((num_nonnulls(merged_into, merged_at) =
CASE status
    WHEN 'merged'::text THEN 2
    ELSE 0
END)),
    CONSTRAINT test_users_are_of_somebody CHECK ((public.is_test(id) = (test_of IS NOT NULL))),
    CONSTRAINT test_users_have_their_id CHECK ((id = public.twin_of(test_of))),
    CONSTRAINT test_users_stay CHECK (((merged_into IS NULL) OR (NOT (public.is_test(id) OR public.is_test(merged_into))))),
    CONSTRAINT users_name_check CHECK (((length(name) >= 1) AND (length(name) <= 128))),
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'deleted'::text, 'merged'::text])))
);

CREATE FUNCTION public.household(of_user uuid) RETURNS uuid[]
    LANGUAGE sql STABLE
    RETURN ARRAY(SELECT mine.id FROM public.users mine WHERE ((household.of_user = mine.id) OR (household.of_user = mine.merged_into)) UNION ALL SELECT t.id FROM (public.users mine JOIN public.users t ON ((t.test_of = mine.id))) WHERE ((household.of_user = mine.id) OR (household.of_user = mine.merged_into)));

CREATE FUNCTION public.identity_digest(provider text, subject text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('sha256:'::text || encode(sha256(convert_to(((provider || ':'::text) || subject), 'UTF8'::name)), 'hex'::text));

CREATE FUNCTION public.merge_inputs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    update inputs set user_id = new.merged_into where user_id = new.id;
    return null;
end
$$;

CREATE FUNCTION public.merge_users(one uuid, other uuid, OUT survivor uuid, OUT gone uuid, OUT refusal text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_hashjoin TO 'on'
    AS $$
declare
    books balances;
    kept record;
    told text;
begin
    perform pg_advisory_xact_lock(hashtext('merge_users'));
    perform from users where id in (one, other) order by id for no key update;
    select case when one = other then 'same' when count(*) < 2 then 'unknown' when bool_or(status = 'merged') then 'merged'
        when bool_or(status <> 'active') then 'suspended' end
        into refusal from users where id in (one, other);
    if refusal is not null then
        return;
    end if;
    select id into survivor from users where id in (one, other) order by created_at, id limit 1;
    gone := case survivor when one then other else one end;

    update jobs set user_id = survivor where user_id = gone and finished_at is not null;
    perform from jobs where user_id = gone order by id for no key update;
    perform from balances where user_id in (survivor, gone) order by user_id for update;
    if (select count(*) from jobs where user_id = gone)
        > (select count(*) from (select from jobs where user_id = gone for no key update skip locked) mine) then
        raise serialization_failure using message = 'jobs of the user are on the move';
    end if;
    update jobs set user_id = survivor where user_id = gone;
    update settlements set user_id = survivor where user_id = gone;
    update api_keys set user_id = survivor where user_id = gone;
    update identities set user_id = survivor where user_id = gone;
    delete from idempotency_keys k using idempotency_keys mine
        where k.user_id = gone and mine.user_id = survivor and mine.key = k.key;
    update idempotency_keys set user_id = survivor where user_id = gone;

    told := 'merged into ' || survivor;
    insert into ledger_transfers (user_id, kind, debit, credit, amount, day, reason)
    select part.user_id, 'adjust', case when part.comes then 'issued' else part.account end,
        case when part.comes then part.account else 'issued' end, abs(part.amount), part.day,
        case part.user_id when gone then told else 'merged from ' || gone end
    from (
        select side.user_id, mine.account, mine.amount, mine.day,
            ((side.user_id = survivor) = (mine.amount > 0)) = (mine.account <> 'daily') as comes
        from (
            select 'purchased' as account, purchased as amount, null::date as day from balances where user_id = gone
            union all select 'held', held, null from balances where user_id = gone
            union all select 'daily', daily, day from usage_daily where user_id = gone
        ) mine
        cross join (values (gone), (survivor)) as side (user_id)
        where mine.amount <> 0
    ) part
    order by part.day nulls first, part.account, part.user_id;

    insert into usage_daily as u (user_id, day, jobs, daily, purchased)
    select survivor, day, jobs, daily, purchased from usage_daily where user_id = gone order by day
    on conflict (user_id, day) do update set jobs = u.jobs + excluded.jobs, daily = u.daily + excluded.daily,
        purchased = u.purchased + excluded.purchased;
    delete from usage_daily where user_id = gone;

    delete from balances where user_id = gone returning * into books;
    update balances b set purchased = b.purchased + books.purchased, held = b.held + books.held,
        queued = b.queued + books.queued, running = b.running + books.running,
        day = greatest(b.day, books.day),
        daily = coalesce((select u.daily from usage_daily u
            where u.user_id = survivor and u.day = greatest(b.day, books.day)), 0),
        submits_until = greatest(b.submits_until, books.submits_until)
    where b.user_id = survivor;

    select u.plan, u.paid_until into kept
    from users u join user_plans e on e.user_id = u.id join plans p on p.name = e.plan
    where u.id in (survivor, gone)
    order by p.tokens_per_day desc, p.weight desc, p.price_cents desc, u.paid_until desc nulls first, u.id = survivor desc
    limit 1;
    update users set plan = kept.plan, paid_until = kept.paid_until where id = survivor;
    update users set merged_into = survivor where merged_into = gone;
    update users set status = 'merged', merged_into = survivor, merged_at = now() where id = gone;
end
$$;

CREATE FUNCTION public.move_webhooks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    gone uuid := (select id from webhook_endpoints where user_id = new.id and url is null);
    kept uuid := (select id from webhook_endpoints where user_id = new.merged_into and url is null);
begin
    if gone is not null and kept is not null then
        insert into webhook_secrets (endpoint_id, secret, created_at, expires_at)
        select kept, secret, created_at, least(coalesce(expires_at, 'infinity'), now() + interval '1 day')
        from webhook_secrets where endpoint_id = gone
        on conflict do nothing;
        update webhook_deliveries set endpoint_id = kept where endpoint_id = gone;
        delete from webhook_endpoints where id = gone;
    end if;
    update webhook_endpoints set user_id = new.merged_into where user_id = new.id;
    return null;
end
$$;

CREATE TABLE public.artifacts (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    index smallint NOT NULL,
    key text NOT NULL,
    mime_type text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    visibility text DEFAULT 'private'::text NOT NULL,
    legal_hold boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    visibility_before text,
    CONSTRAINT artifacts_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT artifacts_bytes_check CHECK ((bytes > 0)),
    CONSTRAINT artifacts_height_check CHECK ((height > 0)),
    CONSTRAINT artifacts_index_check CHECK (((index >= 0) AND (index <= 63))),
    CONSTRAINT artifacts_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200))),
    CONSTRAINT artifacts_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT artifacts_visibility_before_check CHECK ((visibility_before = ANY (ARRAY['private'::text, 'shared'::text, 'published'::text]))),
    CONSTRAINT artifacts_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'shared'::text, 'published'::text, 'quarantined'::text]))),
    CONSTRAINT artifacts_width_check CHECK ((width > 0)),
    CONSTRAINT quarantine_remembers CHECK (((visibility = 'quarantined'::text) = (visibility_before IS NOT NULL)))
);

CREATE TABLE public.jobs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    lane_id integer NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    tag double precision,
    head_start double precision DEFAULT 0 NOT NULL,
    cost integer NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    failures smallint DEFAULT 0 NOT NULL,
    losses smallint DEFAULT 0 NOT NULL,
    lost_by uuid,
    worker_id uuid,
    slot smallint,
    claim_id uuid,
    lease_token uuid,
    phase text,
    lease_expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone,
    start_by timestamp with time zone,
    started_at timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    finished_at timestamp with time zone,
    error_code text,
    policy_version integer DEFAULT 1 NOT NULL,
    prompt_rendered text,
    purchased integer DEFAULT 0 NOT NULL,
    running_max smallint DEFAULT 32767 NOT NULL,
    pool text,
    CONSTRAINT backoff_has_no_tag CHECK (((state <> 'queued'::text) OR ((tag IS NULL) = (due_at IS NOT NULL)))),
    CONSTRAINT failure_says_why CHECK (((error_code IS NOT NULL) = (state = ANY (ARRAY['failed'::text, 'expired'::text])))),
    CONSTRAINT finished_once CHECK (((finished_at IS NOT NULL) = (state = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'expired'::text])))),
    CONSTRAINT hold_has_parts CHECK (((purchased >= 0) AND (purchased <= cost))),
    CONSTRAINT jobs_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT jobs_cost_check CHECK ((cost > 0)),
    CONSTRAINT jobs_failures_check CHECK ((failures >= 0)),
    CONSTRAINT jobs_head_start_check CHECK ((head_start >= (0)::double precision)),
    CONSTRAINT jobs_losses_check CHECK ((losses >= 0)),
    CONSTRAINT jobs_phase_check CHECK ((phase = ANY (ARRAY['offered'::text, 'held'::text, 'started'::text]))),
    CONSTRAINT jobs_running_max_check CHECK ((running_max > 0)),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text, 'expired'::text]))),
    CONSTRAINT lease_has_attempt CHECK (((state <> 'running'::text) OR (attempt > 0))),
    CONSTRAINT lease_is_whole CHECK ((num_nonnulls(worker_id, slot, claim_id, lease_token, phase, lease_expires_at) =
CASE state
    WHEN 'running'::text THEN 6
    ELSE 0
END))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='5000');

CREATE TABLE public.reports (
    id uuid DEFAULT public.uuid7() NOT NULL,
    job_id uuid NOT NULL,
    index smallint,
    reporter_id uuid NOT NULL,
    category text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    handled_at timestamp with time zone,
    handled_by text,
    CONSTRAINT handled_by_somebody CHECK ((num_nonnulls(handled_at, handled_by) =
CASE state
    WHEN 'open'::text THEN 0
    ELSE 2
END)),
    CONSTRAINT reports_category_check CHECK ((category = ANY (ARRAY['minors'::text, 'sexual'::text, 'violence'::text, 'hate'::text, 'person'::text, 'copyright'::text, 'other'::text]))),
    CONSTRAINT reports_handled_by_check CHECK (((length(handled_by) >= 1) AND (length(handled_by) <= 64))),
    CONSTRAINT reports_index_check CHECK (((index >= 0) AND (index <= 63))),
    CONSTRAINT reports_state_check CHECK ((state = ANY (ARRAY['open'::text, 'upheld'::text, 'dismissed'::text]))),
    CONSTRAINT reports_text_check CHECK ((length(text) <= 1000))
);

CREATE FUNCTION public.must_be_kept(of_job uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN ((EXISTS (SELECT FROM public.artifacts a WHERE ((a.job_id = must_be_kept.of_job) AND (a.legal_hold OR (('published'::text = a.visibility) OR ('published'::text = a.visibility_before)))))) OR (EXISTS (SELECT FROM (public.reports r JOIN public.jobs j ON ((j.id = r.job_id))) WHERE ((r.job_id = must_be_kept.of_job) AND (r.state = 'open'::text) AND (r.reporter_id <> ALL (public.household(j.user_id)))))));

CREATE FUNCTION public.open_balance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into balances (user_id) values (new.id);
    return null;
end
$$;

CREATE FUNCTION public.publish_artifact() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    shown constant text := case when new.state = 'approved' then 'published' else 'private' end;
begin
    update artifacts set
        visibility = case when visibility = 'quarantined' then visibility else shown end,
        visibility_before = case when visibility = 'quarantined' then shown end
    where job_id = new.job_id and attempt = new.attempt and index = new.index;
    return null;
end
$$;

CREATE FUNCTION public.release_input() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    delete from input_uses where job_id = new.job_id;
    return null;
end
$$;

CREATE FUNCTION public.retire_jobs(candidates uuid[], before timestamp with time zone, OUT retired uuid[], OUT keys text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    retired := array(
        select j.id from jobs j
        where j.id = any (candidates) and j.finished_at < before and not must_be_kept(j.id)
        order by j.id for no key update skip locked);
    with gone as (
        delete from artifacts a where a.job_id = any (retired) returning a.key
    ),
    noted as (
        insert into discards (key) select gone.key from gone on conflict do nothing
    )
    select coalesce(array_agg(gone.key), '{}') into keys from gone;
    delete from shares s where s.job_id = any (retired);
    delete from provenance p where p.job_id = any (retired);
    delete from job_events e where e.job_id = any (retired);
    delete from job_progress p where p.job_id = any (retired);
    update attempts a set message = null where a.job_id = any (retired) and a.message is not null;
    update jobs j set prompt_rendered = null where j.id = any (retired) and j.prompt_rendered is not null;
    update job_specs s set spec = without_words(s.spec), metadata = '{}', webhook_url = null
    where s.job_id = any (retired)
        and (s.spec <> without_words(s.spec) or s.metadata <> '{}' or s.webhook_url is not null);
end
$$;

CREATE FUNCTION public.retire_user(of_user uuid, before timestamp with time zone, most integer, OUT seen integer, OUT keys text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    reached uuid;
    ids uuid[];
    gone uuid[];
begin
    seen := 0;
    keys := '{}';
    insert into retirements (user_id, up_to) values (of_user, '00000000-0000-0000-0000-000000000000')
    on conflict (user_id) do nothing;
    select r.up_to into reached from retirements r where r.user_id = of_user for update skip locked;
    if reached is null then
        return;
    end if;
    ids := array(
        select j.id from jobs j
        where j.user_id = any (array[of_user]) and j.id > reached and j.id < uuid7_floor(before)
        order by j.user_id desc, j.id limit most);
    seen := cardinality(ids);
    if seen = 0 then
        return;
    end if;
    select r.retired, r.keys into gone, keys from retire_jobs(ids, before) r;
    insert into withheld (job_id) select passed.id from unnest(ids) as passed (id) where passed.id <> all (gone)
    on conflict (job_id) do nothing;
    update retirements r set up_to = ids[seen] where r.user_id = of_user;
end
$$;

CREATE FUNCTION public.retire_withheld(ahead interval, most integer, OUT seen integer, OUT keys text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    ids uuid[];
    gone uuid[];
begin
    ids := array(
        select w.job_id
        from withheld w
        join jobs j on j.id = w.job_id
        join users u on u.id = j.user_id
        join plans p on p.name = u.plan
        where (u.status = 'deleted' and j.finished_at is not null
                or j.finished_at < now() + ahead - make_interval(days => p.retention_days))
            and not must_be_kept(w.job_id)
        order by w.job_id limit most for update of w skip locked);
    seen := cardinality(ids);
    select r.retired, r.keys into gone, keys from retire_jobs(ids, 'infinity') r;
    delete from withheld w where w.job_id = any (gone);
end
$$;

CREATE FUNCTION public.settle() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_hashjoin TO 'on'
    AS $$
begin
    if not exists (select from after where state <> 'running') then
        return null; -- claims, which count for themselves, and heartbeats
    end if;

    perform from balances
    where user_id in (select after.user_id from after join before using (id) where after.state <> before.state)
    order by user_id for no key update;

    with moved as materialized (
        select after.id, after.user_id, utc_day(after.created_at) as day, after.cost, after.purchased,
            (after.state = 'queued')::integer - (before.state = 'queued')::integer as queued,
            (after.state = 'running')::integer - (before.state = 'running')::integer as running,
            after.finished_at is not null and before.finished_at is null as ended,
            case when after.state = 'succeeded' then after.cost
                when after.state = 'canceled' and before.phase = 'started'
                    then round(after.cost * least(1, greatest(0, coalesce(p.value, 0))))
                else 0 end::bigint as charged
        from after join before using (id)
        left join job_progress p on p.job_id = after.id and p.attempt = after.attempt
        where after.state <> before.state
    ),
    ended as materialized (
        select id, user_id, day, cost, charged, cost - charged as returned,
            least(purchased, cost - charged) as returned_purchased,
            greatest(0, cost - charged - purchased) as returned_daily
        from moved where ended
    ),
    settled as (
        insert into settlements (job_id, user_id, held, charged, returned)
        select id, user_id, cost, charged, returned from ended order by id
    ),
    told as (
        insert into ledger_transfers (user_id, kind, debit, credit, amount, day, job_id)
        select ended.user_id, part.kind, 'held', part.account, part.amount,
            case part.account when 'daily' then ended.day end, ended.id
        from ended cross join lateral (values ('charge', 'spent', charged), ('return', 'daily', returned_daily),
            ('return', 'purchased', returned_purchased)) as part (kind, account, amount)
        where part.amount > 0
        order by ended.id
    ),
    untaken as (
        update usage_daily set daily = usage_daily.daily - mine.daily, purchased = usage_daily.purchased - mine.purchased
        from (select user_id, day, sum(returned_daily) as daily, sum(returned_purchased) as purchased
            from ended where returned > 0 group by user_id, day) mine
        where usage_daily.user_id = mine.user_id and usage_daily.day = mine.day
    )
    update balances set queued = balances.queued + mine.queued, running = balances.running + mine.running,
        held = balances.held - mine.held, purchased = balances.purchased + mine.purchased,
        daily = balances.daily - mine.daily
    from (
        select moved.user_id, sum(moved.queued) as queued, sum(moved.running) as running,
            coalesce(sum(ended.cost), 0) as held, coalesce(sum(ended.returned_purchased), 0) as purchased,
            coalesce(sum(ended.returned_daily) filter (where ended.day = b.day), 0) as daily
        from moved join balances b on b.user_id = moved.user_id left join ended on ended.id = moved.id
        group by moved.user_id
    ) mine
    where balances.user_id = mine.user_id;
    return null;
end
$$;

CREATE FUNCTION public.submit_one(of_user uuid, into_lane integer, tokens integer, pixels integer, video_seconds double precision, ahead double precision, process_clock double precision, pool_tokens jsonb, wait_seconds integer, idempotency text, hash bytea, policy integer, spent_plans text[], for_worker uuid DEFAULT NULL::uuid, for_slot smallint DEFAULT NULL::smallint, claim uuid DEFAULT NULL::uuid, able_lanes integer[] DEFAULT NULL::integer[], bounds double precision[] DEFAULT NULL::double precision[], offer_seconds double precision DEFAULT NULL::double precision, OUT refusal text, OUT job_id uuid, OUT tag double precision, OUT created_at timestamp with time zone, OUT pool text, OUT available bigint, OUT calls_left integer, OUT calls_per_minute integer, OUT busy_seconds double precision, OUT lease_token uuid) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.suspend_balance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    update balances set suspended = new.status <> 'active' where user_id = new.id;
    return null;
end
$$;

CREATE FUNCTION public.timeline() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog'
    RETURN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);

CREATE FUNCTION public.use_input() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into input_uses (job_id, input_id)
    select new.job_id, i.id from inputs i where i.id = (new.spec -> 'input_image' ->> 'id')::uuid;
    return null;
end
$$;

CREATE FUNCTION public.utc_day(instant timestamp with time zone) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((instant AT TIME ZONE 'UTC'::text))::date;

CREATE FUNCTION public.uuid7_floor(instant timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (encode((SUBSTRING(int8send(((EXTRACT(epoch FROM instant) * (1000)::numeric))::bigint) FROM 3) || '\x70008000000000000000'::bytea), 'hex'::text))::uuid;

CREATE FUNCTION public.walk_again() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    delete from retirements where user_id in (new.id, new.merged_into);
    return null;
end
$$;

CREATE FUNCTION public.without_words(spec jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN ((spec - ARRAY['typed'::text, 'adult'::text]) || '{"prompt": "", "input_image": null, "negative_prompt": ""}'::jsonb);

CREATE TABLE public.api_keys (
    id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    user_id uuid,
    name text NOT NULL,
    scopes text[] NOT NULL,
    providers text[] DEFAULT '{}'::text[] NOT NULL,
    daily_cap integer,
    models text[],
    networks cidr[],
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    origins text[],
    rotated_at timestamp with time zone,
    old_secret_sha256 bytea,
    old_expires_at timestamp with time zone,
    old_used_at timestamp with time zone,
    CONSTRAINT api_keys_daily_cap_check CHECK ((daily_cap > 0)),
    CONSTRAINT api_keys_id_check CHECK ((id ~ '^[0-9a-z]{12}$'::text)),
    CONSTRAINT api_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT api_keys_old_secret_sha256_check CHECK ((octet_length(old_secret_sha256) = 32)),
    CONSTRAINT api_keys_origins_check CHECK (((cardinality(origins) >= 1) AND (cardinality(origins) <= 20))),
    CONSTRAINT api_keys_scopes_check CHECK ((scopes <@ ARRAY['read'::text, 'submit'::text, 'keys'::text, 'admin'::text, 'metrics'::text, 'payments'::text, 'operate'::text])),
    CONSTRAINT api_keys_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT key_of_user_or_service CHECK (((user_id IS NULL) = (cardinality(providers) > 0))),
    CONSTRAINT old_secret_ends CHECK ((num_nonnulls(old_secret_sha256, old_expires_at) = ANY (ARRAY[0, 2]))),
    CONSTRAINT service_is_no_admin CHECK (((user_id IS NOT NULL) OR (NOT ('admin'::text = ANY (scopes))))),
    CONSTRAINT test_is_no_admin CHECK (((NOT public.is_test(user_id)) OR (NOT (scopes && ARRAY['admin'::text, 'metrics'::text, 'payments'::text, 'operate'::text]))))
);

CREATE TABLE public.attempts (
    job_id uuid NOT NULL,
    number integer NOT NULL,
    worker_id uuid NOT NULL,
    slot smallint NOT NULL,
    claim_id uuid NOT NULL,
    lease_token uuid NOT NULL,
    offered_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text,
    cause text,
    message text,
    joules real,
    CONSTRAINT attempts_joules_check CHECK (((joules >= (0)::double precision) AND (joules < 'Infinity'::real))),
    CONSTRAINT attempts_number_check CHECK ((number > 0)),
    CONSTRAINT attempts_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'released'::text, 'lost'::text, 'taken_over'::text]))),
    CONSTRAINT ended_means_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL)))
)
PARTITION BY RANGE (job_id);

CREATE TABLE public.attempts_default (
    job_id uuid CONSTRAINT attempts_job_id_not_null NOT NULL,
    number integer CONSTRAINT attempts_number_not_null NOT NULL,
    worker_id uuid CONSTRAINT attempts_worker_id_not_null NOT NULL,
    slot smallint CONSTRAINT attempts_slot_not_null NOT NULL,
    claim_id uuid CONSTRAINT attempts_claim_id_not_null NOT NULL,
    lease_token uuid CONSTRAINT attempts_lease_token_not_null NOT NULL,
    offered_at timestamp with time zone DEFAULT now() CONSTRAINT attempts_offered_at_not_null NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text,
    cause text,
    message text,
    joules real,
    CONSTRAINT attempts_joules_check CHECK (((joules >= (0)::double precision) AND (joules < 'Infinity'::real))),
    CONSTRAINT attempts_number_check CHECK ((number > 0)),
    CONSTRAINT attempts_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'released'::text, 'lost'::text, 'taken_over'::text]))),
    CONSTRAINT ended_means_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL)))
);

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    actor_kind text NOT NULL,
    actor_id text,
    verb text NOT NULL,
    object_kind text NOT NULL,
    object_id text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audit_log_actor_id_check CHECK (((length(actor_id) >= 1) AND (length(actor_id) <= 64))),
    CONSTRAINT audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['operator'::text, 'user'::text, 'service'::text, 'worker'::text]))),
    CONSTRAINT audit_log_detail_check CHECK (((jsonb_typeof(detail) = 'object'::text) AND (length((detail)::text) <= 4000))),
    CONSTRAINT audit_log_object_id_check CHECK (((length(object_id) >= 1) AND (length(object_id) <= 200))),
    CONSTRAINT audit_log_object_kind_check CHECK ((object_kind ~ '^[a-z][a-z_]{0,31}$'::text)),
    CONSTRAINT audit_log_verb_check CHECK ((verb ~ '^[a-z][a-z_]{0,31}$'::text)),
    CONSTRAINT operator_has_no_id CHECK (((actor_kind = 'operator'::text) = (actor_id IS NULL)))
);

ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.backups (
    id uuid DEFAULT public.uuid7() NOT NULL,
    kind text NOT NULL,
    place text NOT NULL,
    name text NOT NULL,
    sealed boolean NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    verified_at timestamp with time zone,
    bytes bigint,
    files integer,
    files_missing integer,
    error text,
    CONSTRAINT backups_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT backups_error_check CHECK (((length(error) >= 1) AND (length(error) <= 2000))),
    CONSTRAINT backups_files_check CHECK ((files >= 0)),
    CONSTRAINT backups_files_missing_check CHECK ((files_missing >= 0)),
    CONSTRAINT backups_kind_check CHECK ((kind = ANY (ARRAY['dump'::text, 'base'::text]))),
    CONSTRAINT backups_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT backups_place_check CHECK (((length(place) >= 1) AND (length(place) <= 1000))),
    CONSTRAINT verified_when_ended CHECK (((verified_at IS NULL) OR (ended_at IS NOT NULL)))
);

CREATE TABLE public.balances (
    user_id uuid NOT NULL,
    purchased bigint DEFAULT 0 NOT NULL,
    held bigint DEFAULT 0 NOT NULL,
    day date DEFAULT '-infinity'::date NOT NULL,
    daily bigint DEFAULT 0 NOT NULL,
    queued integer DEFAULT 0 NOT NULL,
    running integer DEFAULT 0 NOT NULL,
    submits_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    suspended boolean DEFAULT false NOT NULL,
    CONSTRAINT balances_daily_check CHECK ((daily >= 0)),
    CONSTRAINT balances_held_check CHECK ((held >= 0)),
    CONSTRAINT balances_queued_check CHECK ((queued >= 0)),
    CONSTRAINT balances_running_check CHECK ((running >= 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000');

CREATE TABLE public.batches (
    id uuid DEFAULT public.uuid7() NOT NULL,
    job_ids uuid[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT batches_job_ids_check CHECK (((cardinality(job_ids) >= 1) AND (cardinality(job_ids) <= 100)))
);

CREATE TABLE public.chat_orders (
    provider text NOT NULL,
    subject text NOT NULL,
    key text NOT NULL,
    day date NOT NULL,
    tokens integer NOT NULL,
    CONSTRAINT chat_orders_key_check CHECK ((length(key) <= 255)),
    CONSTRAINT chat_orders_tokens_check CHECK ((tokens >= 0))
);

CREATE TABLE public.chats (
    provider text NOT NULL,
    subject text NOT NULL,
    rules jsonb NOT NULL,
    changed_by uuid NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT chats_provider_check CHECK ((provider ~ '^[a-z]{1,32}$'::text)),
    CONSTRAINT chats_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 128)))
);

CREATE TABLE public.departures (
    user_id uuid NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone
);

CREATE TABLE public.discards (
    key text NOT NULL,
    discarded_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT discards_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200)))
);

CREATE TABLE public.enrolment_tokens (
    id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    name text,
    trust text DEFAULT 'own'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    worker_id uuid,
    CONSTRAINT enrolment_tokens_id_check CHECK ((id ~ '^[0-9a-z]{12}$'::text)),
    CONSTRAINT enrolment_tokens_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT enrolment_tokens_trust_check CHECK ((trust = ANY (ARRAY['own'::text, 'guest'::text]))),
    CONSTRAINT used_means_worker CHECK (((used_at IS NULL) = (worker_id IS NULL)))
);

CREATE TABLE public.event_epochs (
    number integer NOT NULL,
    token text DEFAULT SUBSTRING(replace((gen_random_uuid())::text, '-'::text, ''::text) FROM 1 FOR 8) NOT NULL,
    system_identifier bigint NOT NULL,
    first_seq bigint NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.event_epochs ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.event_epochs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE public.guesses (
    kind text NOT NULL,
    guesser text NOT NULL,
    since timestamp with time zone NOT NULL,
    guesses integer NOT NULL,
    CONSTRAINT guesses_guesses_check CHECK ((guesses > 0)),
    CONSTRAINT guesses_kind_check CHECK ((kind = ANY (ARRAY['link_code'::text, 'link'::text, 'invite'::text, 'sign_in'::text, 'login_code'::text, 'login_link'::text])))
);

CREATE TABLE public.idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    job_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    waiting jsonb,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT idempotency_keys_request_sha256_check CHECK ((octet_length(request_sha256) = 32))
);

CREATE TABLE public.identities (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT identities_are_live CHECK ((NOT public.is_test(user_id))),
    CONSTRAINT identities_provider_check CHECK ((provider ~ '^[a-z]{1,32}$'::text)),
    CONSTRAINT identities_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 128)))
);

CREATE TABLE public.incident_messages (
    incident_id bigint NOT NULL,
    channel text NOT NULL,
    handle text NOT NULL,
    edition integer NOT NULL,
    told_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT incident_messages_channel_check CHECK (((length(channel) >= 1) AND (length(channel) <= 64))),
    CONSTRAINT incident_messages_edition_check CHECK ((edition >= 0)),
    CONSTRAINT incident_messages_handle_check CHECK ((length(handle) <= 300))
);

CREATE TABLE public.incidents (
    id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    summary text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    opened_at timestamp with time zone,
    reminded_at timestamp with time zone,
    reminders integer DEFAULT 0 NOT NULL,
    acked_at timestamp with time zone,
    closed_at timestamp with time zone,
    edition integer DEFAULT 0 NOT NULL,
    edition_at timestamp with time zone DEFAULT now() NOT NULL,
    rings integer DEFAULT 0 NOT NULL,
    CONSTRAINT incidents_check CHECK (((closed_at IS NULL) OR (opened_at IS NOT NULL))),
    CONSTRAINT incidents_check1 CHECK ((rings <= edition)),
    CONSTRAINT incidents_edition_check CHECK ((edition >= 0)),
    CONSTRAINT incidents_kind_check CHECK ((kind ~ '^[a-z_]{1,40}$'::text)),
    CONSTRAINT incidents_reminders_check CHECK ((reminders >= 0)),
    CONSTRAINT incidents_subject_check CHECK ((length(subject) <= 200)),
    CONSTRAINT incidents_summary_check CHECK (((length(summary) >= 1) AND (length(summary) <= 1000)))
);

ALTER TABLE public.incidents ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.incidents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.input_uses (
    job_id uuid NOT NULL,
    input_id uuid NOT NULL
);

CREATE TABLE public.inputs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    key text NOT NULL,
    mime_type text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    received_sha256 bytea NOT NULL,
    job_id uuid,
    index smallint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    adult boolean DEFAULT false NOT NULL,
    CONSTRAINT inputs_bytes_check CHECK ((bytes > 0)),
    CONSTRAINT inputs_height_check CHECK ((height > 0)),
    CONSTRAINT inputs_index_check CHECK (((index >= 0) AND (index <= 63))),
    CONSTRAINT inputs_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200))),
    CONSTRAINT inputs_mime_type_check CHECK ((mime_type = ANY (ARRAY['image/png'::text, 'image/jpeg'::text]))),
    CONSTRAINT inputs_received_sha256_check CHECK ((octet_length(received_sha256) = 32)),
    CONSTRAINT inputs_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT inputs_width_check CHECK ((width > 0)),
    CONSTRAINT result_is_whole CHECK (((job_id IS NULL) = (index IS NULL)))
);

CREATE TABLE public.invite_uses (
    invite_id integer NOT NULL,
    user_id uuid NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT invite_uses_are_live CHECK ((NOT public.is_test(user_id)))
);

CREATE TABLE public.invites (
    id integer NOT NULL,
    code_sha256 bytea NOT NULL,
    plan text,
    tokens integer DEFAULT 0 NOT NULL,
    uses integer NOT NULL,
    used integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT invites_check CHECK (((used >= 0) AND (used <= uses))),
    CONSTRAINT invites_code_sha256_check CHECK ((octet_length(code_sha256) = 32)),
    CONSTRAINT invites_tokens_check CHECK ((tokens >= 0)),
    CONSTRAINT invites_uses_check CHECK ((uses > 0))
);

ALTER TABLE public.invites ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.invites_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE public.job_events_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.job_events (
    job_id uuid NOT NULL,
    seq bigint DEFAULT nextval('public.job_events_seq'::regclass) NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT job_events_name_check CHECK ((name ~ '^job\.[a-z_]+$'::text))
)
PARTITION BY RANGE (job_id);

CREATE TABLE public.job_events_default (
    job_id uuid CONSTRAINT job_events_job_id_not_null NOT NULL,
    seq bigint DEFAULT nextval('public.job_events_seq'::regclass) CONSTRAINT job_events_seq_not_null NOT NULL,
    name text CONSTRAINT job_events_name_not_null NOT NULL,
    attempt integer CONSTRAINT job_events_attempt_not_null NOT NULL,
    at timestamp with time zone DEFAULT now() CONSTRAINT job_events_at_not_null NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT job_events_xid_not_null NOT NULL,
    CONSTRAINT job_events_name_check CHECK ((name ~ '^job\.[a-z_]+$'::text))
);

CREATE UNLOGGED TABLE public.job_progress (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    value real NOT NULL,
    step integer NOT NULL,
    steps integer NOT NULL,
    preview bytea,
    reported_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_progress_preview_check CHECK ((octet_length(preview) <= 65536))
)
WITH (fillfactor='50');

CREATE TABLE public.job_specs (
    job_id uuid NOT NULL,
    spec jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    webhook_url text
);

CREATE TABLE public.key_spending (
    key_id text NOT NULL,
    day date NOT NULL,
    tokens bigint NOT NULL,
    CONSTRAINT key_spending_tokens_check CHECK ((tokens >= 0))
)
WITH (fillfactor='70');

CREATE TABLE public.lanes (
    id integer NOT NULL,
    kind text NOT NULL,
    model text NOT NULL,
    vram_gib integer NOT NULL,
    clock double precision DEFAULT 0 NOT NULL,
    bound double precision DEFAULT '-Infinity'::double precision NOT NULL,
    tag_offset double precision DEFAULT 0 NOT NULL,
    run_tokens real[] DEFAULT '{}'::real[] NOT NULL,
    run_seconds real[] DEFAULT '{}'::real[] NOT NULL,
    paused_at timestamp with time zone,
    sandbox boolean DEFAULT false NOT NULL,
    task text DEFAULT ''::text NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE public.lanes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.lanes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.ledger_checks (
    only_one boolean DEFAULT true NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    violations integer NOT NULL,
    CONSTRAINT ledger_checks_only_one_check CHECK (only_one),
    CONSTRAINT ledger_checks_violations_check CHECK ((violations >= 0))
);

CREATE TABLE public.ledger_transfers (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    debit text NOT NULL COLLATE pg_catalog."C",
    credit text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    day date,
    job_id uuid,
    reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT daily_has_a_day CHECK (((day IS NOT NULL) = (('daily'::text = debit) OR ('daily'::text = credit)))),
    CONSTRAINT ledger_transfers_amount_check CHECK ((amount > 0)),
    CONSTRAINT ledger_transfers_credit_check CHECK ((credit = ANY (ARRAY['issued'::text, 'daily'::text, 'purchased'::text, 'held'::text, 'spent'::text]))),
    CONSTRAINT ledger_transfers_debit_check CHECK ((debit = ANY (ARRAY['issued'::text, 'daily'::text, 'purchased'::text, 'held'::text, 'spent'::text]))),
    CONSTRAINT ledger_transfers_kind_check CHECK ((kind = ANY (ARRAY['grant'::text, 'hold'::text, 'charge'::text, 'return'::text, 'adjust'::text]))),
    CONSTRAINT ledger_transfers_reason_check CHECK ((length(reason) <= 300)),
    CONSTRAINT transfer_moves CHECK ((debit <> credit)),
    CONSTRAINT transfer_of_its_kind CHECK (
CASE kind
    WHEN 'grant'::text THEN ((debit = 'issued'::text) AND (credit = 'purchased'::text) AND (job_id IS NULL) AND (reason IS NOT NULL))
    WHEN 'hold'::text THEN ((debit = ANY (ARRAY['daily'::text, 'purchased'::text])) AND (credit = 'held'::text) AND (job_id IS NOT NULL))
    WHEN 'charge'::text THEN ((debit = 'held'::text) AND (credit = 'spent'::text) AND (job_id IS NOT NULL))
    WHEN 'return'::text THEN ((debit = 'held'::text) AND (credit = ANY (ARRAY['daily'::text, 'purchased'::text])) AND (job_id IS NOT NULL))
    ELSE ((job_id IS NULL) AND (reason IS NOT NULL))
END)
);

ALTER TABLE public.ledger_transfers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ledger_transfers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.settlements (
    job_id uuid NOT NULL,
    user_id uuid NOT NULL,
    held bigint NOT NULL,
    charged bigint NOT NULL,
    returned bigint NOT NULL,
    settled_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT settled_whole CHECK (((charged + returned) = held)),
    CONSTRAINT settlements_charged_check CHECK ((charged >= 0)),
    CONSTRAINT settlements_held_check CHECK ((held > 0)),
    CONSTRAINT settlements_returned_check CHECK ((returned >= 0))
);

CREATE TABLE public.usage_daily (
    user_id uuid NOT NULL,
    day date NOT NULL,
    jobs integer DEFAULT 0 NOT NULL,
    daily bigint DEFAULT 0 NOT NULL,
    purchased bigint DEFAULT 0 NOT NULL,
    CONSTRAINT usage_daily_daily_check CHECK ((daily >= 0)),
    CONSTRAINT usage_daily_jobs_check CHECK ((jobs >= 0)),
    CONSTRAINT usage_daily_purchased_check CHECK ((purchased >= 0))
)
WITH (fillfactor='70');

CREATE VIEW public.ledger_violations AS
 WITH fold AS (
         SELECT ledger_transfers.user_id,
            (COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.credit = 'purchased'::text)), (0)::numeric) - COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.debit = 'purchased'::text)), (0)::numeric)) AS purchased,
            (COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.credit = 'held'::text)), (0)::numeric) - COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.debit = 'held'::text)), (0)::numeric)) AS held
           FROM public.ledger_transfers
          GROUP BY ledger_transfers.user_id
        ), daily AS (
         SELECT ledger_transfers.user_id,
            ledger_transfers.day,
            sum(
                CASE
                    WHEN (ledger_transfers.debit = 'daily'::text) THEN ledger_transfers.amount
                    ELSE (- ledger_transfers.amount)
                END) AS daily
           FROM public.ledger_transfers
          WHERE (ledger_transfers.day IS NOT NULL)
          GROUP BY ledger_transfers.user_id, ledger_transfers.day
        ), live AS (
         SELECT jobs.user_id,
            sum(jobs.cost) AS held,
            count(*) FILTER (WHERE (jobs.state = 'queued'::text)) AS queued,
            count(*) FILTER (WHERE (jobs.state = 'running'::text)) AS running
           FROM public.jobs
          WHERE (jobs.finished_at IS NULL)
          GROUP BY jobs.user_id
        ), moved AS (
         SELECT ledger_transfers.job_id,
            COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.kind = 'hold'::text)), (0)::numeric) AS held,
            COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.kind = 'charge'::text)), (0)::numeric) AS charged,
            COALESCE(sum(ledger_transfers.amount) FILTER (WHERE (ledger_transfers.kind = 'return'::text)), (0)::numeric) AS returned
           FROM public.ledger_transfers
          WHERE (ledger_transfers.job_id IS NOT NULL)
          GROUP BY ledger_transfers.job_id
        )
 SELECT 'balance_purchased'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.purchased AS kept,
    COALESCE(f.purchased, (0)::numeric) AS found
   FROM (public.balances b
     LEFT JOIN fold f USING (user_id))
  WHERE ((b.purchased)::numeric <> COALESCE(f.purchased, (0)::numeric))
UNION ALL
 SELECT 'balance_held'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.held AS kept,
    COALESCE(f.held, (0)::numeric) AS found
   FROM (public.balances b
     LEFT JOIN fold f USING (user_id))
  WHERE ((b.held)::numeric <> COALESCE(f.held, (0)::numeric))
UNION ALL
 SELECT 'balance_of_live_jobs'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.held AS kept,
    COALESCE(l.held, (0)::bigint) AS found
   FROM (public.balances b
     LEFT JOIN live l USING (user_id))
  WHERE (b.held <> COALESCE(l.held, (0)::bigint))
UNION ALL
 SELECT 'count_queued'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.queued AS kept,
    COALESCE(l.queued, (0)::bigint) AS found
   FROM (public.balances b
     LEFT JOIN live l USING (user_id))
  WHERE (b.queued <> COALESCE(l.queued, (0)::bigint))
UNION ALL
 SELECT 'count_running'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.running AS kept,
    COALESCE(l.running, (0)::bigint) AS found
   FROM (public.balances b
     LEFT JOIN live l USING (user_id))
  WHERE (b.running <> COALESCE(l.running, (0)::bigint))
UNION ALL
 SELECT 'balance_daily'::text AS law,
    b.user_id,
    NULL::uuid AS job_id,
    b.daily AS kept,
    COALESCE(u.daily, (0)::bigint) AS found
   FROM (public.balances b
     LEFT JOIN public.usage_daily u ON (((u.user_id = b.user_id) AND (u.day = b.day))))
  WHERE (b.daily <> COALESCE(u.daily, (0)::bigint))
UNION ALL
 SELECT 'usage_daily'::text AS law,
    COALESCE(u.user_id, d.user_id) AS user_id,
    NULL::uuid AS job_id,
    COALESCE(u.daily, (0)::bigint) AS kept,
    COALESCE(d.daily, (0)::numeric) AS found
   FROM (public.usage_daily u
     FULL JOIN daily d ON (((d.user_id = u.user_id) AND (d.day = u.day))))
  WHERE ((COALESCE(u.daily, (0)::bigint))::numeric <> COALESCE(d.daily, (0)::numeric))
UNION ALL
 SELECT 'hold_of_job'::text AS law,
    j.user_id,
    j.id AS job_id,
    j.cost AS kept,
    COALESCE(m.held, (0)::numeric) AS found
   FROM (public.jobs j
     LEFT JOIN moved m ON ((m.job_id = j.id)))
  WHERE ((j.cost)::numeric <> COALESCE(m.held, (0)::numeric))
UNION ALL
 SELECT 'settlement_missing'::text AS law,
    j.user_id,
    j.id AS job_id,
    j.cost AS kept,
    0 AS found
   FROM (public.jobs j
     LEFT JOIN public.settlements s ON ((s.job_id = j.id)))
  WHERE ((j.finished_at IS NOT NULL) AND (s.job_id IS NULL))
UNION ALL
 SELECT 'settlement_early'::text AS law,
    j.user_id,
    j.id AS job_id,
    0 AS kept,
    s.held AS found
   FROM (public.jobs j
     JOIN public.settlements s ON ((s.job_id = j.id)))
  WHERE (j.finished_at IS NULL)
UNION ALL
 SELECT 'settlement_held'::text AS law,
    j.user_id,
    j.id AS job_id,
    j.cost AS kept,
    s.held AS found
   FROM (public.jobs j
     JOIN public.settlements s ON ((s.job_id = j.id)))
  WHERE (s.held <> j.cost)
UNION ALL
 SELECT 'settlement_charged'::text AS law,
    s.user_id,
    s.job_id,
    s.charged AS kept,
    COALESCE(m.charged, (0)::numeric) AS found
   FROM (public.settlements s
     LEFT JOIN moved m ON ((m.job_id = s.job_id)))
  WHERE ((s.charged)::numeric <> COALESCE(m.charged, (0)::numeric))
UNION ALL
 SELECT 'settlement_returned'::text AS law,
    s.user_id,
    s.job_id,
    s.returned AS kept,
    COALESCE(m.returned, (0)::numeric) AS found
   FROM (public.settlements s
     LEFT JOIN moved m ON ((m.job_id = s.job_id)))
  WHERE ((s.returned)::numeric <> COALESCE(m.returned, (0)::numeric))
UNION ALL
 SELECT 'charged_for_nothing'::text AS law,
    j.user_id,
    j.id AS job_id,
    0 AS kept,
    s.charged AS found
   FROM (public.jobs j
     JOIN public.settlements s ON ((s.job_id = j.id)))
  WHERE ((s.charged > 0) AND (j.state <> ALL (ARRAY['succeeded'::text, 'canceled'::text])));

CREATE TABLE public.link_codes (
    user_id uuid NOT NULL,
    code_sha256 bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT link_codes_are_live CHECK ((NOT public.is_test(user_id))),
    CONSTRAINT link_codes_code_sha256_check CHECK ((octet_length(code_sha256) = 32))
);

CREATE TABLE public.plans (
    name text NOT NULL,
    weight double precision DEFAULT 1 NOT NULL,
    queued_max integer NOT NULL,
    retention_days integer NOT NULL,
    tokens_per_day integer DEFAULT 0 NOT NULL,
    running_max smallint DEFAULT 1 NOT NULL,
    submits_per_minute integer DEFAULT 10 NOT NULL,
    reads_per_minute integer DEFAULT 120 NOT NULL,
    images boolean DEFAULT true NOT NULL,
    pixels_max integer DEFAULT 1048576 NOT NULL,
    video_seconds_max double precision DEFAULT 0 NOT NULL,
    newcomer_days integer DEFAULT 0 NOT NULL,
    pool_weight double precision,
    pool_tokens_per_day bigint,
    price_cents integer DEFAULT 0 NOT NULL,
    currency text DEFAULT 'EUR'::text NOT NULL,
    hidden boolean DEFAULT false NOT NULL,
    CONSTRAINT plans_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT plans_name_check CHECK ((name ~ '^[a-z][a-z0-9_-]{0,31}$'::text)),
    CONSTRAINT plans_newcomer_days_check CHECK ((newcomer_days >= 0)),
    CONSTRAINT plans_pixels_max_check CHECK ((pixels_max > 0)),
    CONSTRAINT plans_pool_tokens_per_day_check CHECK ((pool_tokens_per_day > 0)),
    CONSTRAINT plans_pool_weight_check CHECK ((pool_weight > (0)::double precision)),
    CONSTRAINT plans_price_cents_check CHECK ((price_cents >= 0)),
    CONSTRAINT plans_queued_max_check CHECK ((queued_max > 0)),
    CONSTRAINT plans_reads_per_minute_check CHECK (((reads_per_minute >= 1) AND (reads_per_minute <= 1000000))),
    CONSTRAINT plans_retention_days_check CHECK ((retention_days > 0)),
    CONSTRAINT plans_running_max_check CHECK ((running_max > 0)),
    CONSTRAINT plans_submits_per_minute_check CHECK (((submits_per_minute >= 1) AND (submits_per_minute <= 1000000))),
    CONSTRAINT plans_tokens_per_day_check CHECK ((tokens_per_day >= 0)),
    CONSTRAINT plans_video_seconds_max_check CHECK ((video_seconds_max >= (0)::double precision)),
    CONSTRAINT plans_weight_check CHECK ((weight > (0)::double precision))
);

CREATE VIEW public.live_inputs AS
 SELECT id,
    user_id,
    key,
    mime_type,
    width,
    height,
    bytes,
    sha256,
    received_sha256,
    job_id,
    index,
    created_at,
    expires_at,
    adult
   FROM public.inputs i
  WHERE ((expires_at > now()) OR (EXISTS ( SELECT
           FROM (((public.input_uses u
             JOIN public.jobs j ON ((j.id = u.job_id)))
             JOIN public.users owner ON ((owner.id = i.user_id)))
             JOIN public.plans p ON ((p.name = owner.plan)))
          WHERE ((u.input_id = i.id) AND ((j.finished_at IS NULL) OR (j.finished_at > (now() - make_interval(days => p.retention_days))))))));

CREATE TABLE public.login_links (
    user_id uuid NOT NULL,
    token_sha256 bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT login_links_token_sha256_check CHECK ((octet_length(token_sha256) = 32))
);

CREATE TABLE public.models (
    name text NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    "position" integer NOT NULL,
    vram_gib integer DEFAULT 0 NOT NULL,
    weight double precision DEFAULT 1 NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    pixels_max integer NOT NULL,
    steps integer NOT NULL,
    steps_max integer NOT NULL,
    guidance double precision NOT NULL,
    frames integer,
    frames_max integer,
    fps integer,
    paused_at timestamp with time zone,
    tasks text[] DEFAULT '{}'::text[] NOT NULL,
    upscales smallint[] DEFAULT '{}'::smallint[] NOT NULL,
    task text DEFAULT ''::text NOT NULL,
    languages text[] DEFAULT '{en}'::text[] NOT NULL,
    CONSTRAINT models_kind_check CHECK ((kind = ANY (ARRAY['image'::text, 'video'::text]))),
    CONSTRAINT models_languages_check CHECK ((languages <> '{}'::text[])),
    CONSTRAINT models_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'::text)),
    CONSTRAINT models_vram_gib_check CHECK ((vram_gib >= 0)),
    CONSTRAINT models_weight_check CHECK ((weight > (0)::double precision)),
    CONSTRAINT tasks_of_its_kind CHECK ((tasks <@
CASE kind
    WHEN 'image'::text THEN ARRAY['text-to-image'::text, 'image-to-image'::text, 'inpaint'::text, 'upscale'::text]
    ELSE ARRAY['text-to-video'::text, 'image-to-video'::text]
END)),
    CONSTRAINT upscales_known CHECK ((upscales <@ ARRAY[(2)::smallint, (4)::smallint])),
    CONSTRAINT upscales_says_how_far CHECK ((('upscale'::text = ANY (tasks)) = (cardinality(upscales) > 0))),
    CONSTRAINT video_has_frames CHECK (((kind = 'video'::text) = ((frames IS NOT NULL) AND (frames_max IS NOT NULL) AND (fps IS NOT NULL))))
);

CREATE TABLE public.newcomers (
    browser_sha256 bytea NOT NULL,
    provider text NOT NULL,
    subject text NOT NULL,
    next text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT newcomers_browser_sha256_check CHECK ((octet_length(browser_sha256) = 32)),
    CONSTRAINT newcomers_next_check CHECK (((length(next) >= 1) AND (length(next) <= 500))),
    CONSTRAINT newcomers_provider_check CHECK ((provider = ANY (ARRAY['discord'::text, 'google'::text, 'telegram'::text]))),
    CONSTRAINT newcomers_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 128)))
);

CREATE TABLE public.packs (
    name text NOT NULL,
    tokens integer NOT NULL,
    stars integer NOT NULL,
    price_cents integer NOT NULL,
    currency text DEFAULT 'EUR'::text NOT NULL,
    hidden boolean DEFAULT false NOT NULL,
    CONSTRAINT packs_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT packs_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'::text)),
    CONSTRAINT packs_price_cents_check CHECK ((price_cents > 0)),
    CONSTRAINT packs_stars_check CHECK ((stars > 0)),
    CONSTRAINT packs_tokens_check CHECK ((tokens > 0))
);

CREATE TABLE public.payments (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    provider_id text NOT NULL,
    pack text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    tokens bigint NOT NULL,
    state text DEFAULT 'credited'::text NOT NULL,
    place text DEFAULT ''::text NOT NULL,
    payer text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    refunded_at timestamp with time zone,
    CONSTRAINT payments_amount_check CHECK ((amount > 0)),
    CONSTRAINT payments_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_payer_check CHECK ((length(payer) <= 128)),
    CONSTRAINT payments_place_check CHECK ((length(place) <= 64)),
    CONSTRAINT payments_provider_check CHECK ((provider ~ '^[a-z_]{1,32}$'::text)),
    CONSTRAINT payments_provider_id_check CHECK (((length(provider_id) >= 1) AND (length(provider_id) <= 200))),
    CONSTRAINT payments_state_check CHECK ((state = ANY (ARRAY['credited'::text, 'refunded'::text]))),
    CONSTRAINT payments_tokens_check CHECK ((tokens >= 0)),
    CONSTRAINT refunded_at_some_time CHECK (((state = 'refunded'::text) = (refunded_at IS NOT NULL)))
);

CREATE TABLE public.payments_unmatched (
    provider text NOT NULL,
    provider_id text NOT NULL,
    user_id uuid NOT NULL,
    reason text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payments_unmatched_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 40))),
    CONSTRAINT payments_unmatched_provider_id_check CHECK (((length(provider_id) >= 1) AND (length(provider_id) <= 300))),
    CONSTRAINT payments_unmatched_reason_check CHECK ((length(reason) <= 500))
);

CREATE TABLE public.provenance (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    made jsonb NOT NULL,
    CONSTRAINT provenance_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT provenance_made_check CHECK ((jsonb_typeof(made) = 'object'::text))
);

CREATE TABLE public.publications (
    id uuid DEFAULT public.uuid7() NOT NULL,
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    index smallint NOT NULL,
    state text DEFAULT 'proposed'::text NOT NULL,
    show_prompt boolean NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    proposed_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    decided_by text,
    CONSTRAINT decided_by_somebody CHECK ((num_nonnulls(decided_at, decided_by) =
CASE
    WHEN (state = ANY (ARRAY['approved'::text, 'refused'::text])) THEN 2
    ELSE 0
END)),
    CONSTRAINT publications_decided_by_check CHECK (((length(decided_by) >= 1) AND (length(decided_by) <= 64))),
    CONSTRAINT publications_reason_check CHECK ((length(reason) <= 300)),
    CONSTRAINT publications_state_check CHECK ((state = ANY (ARRAY['proposed'::text, 'approved'::text, 'refused'::text, 'withdrawn'::text]))),
    CONSTRAINT refused_for_a_reason CHECK (((state = 'refused'::text) = (reason <> ''::text)))
);

CREATE TABLE public.retirements (
    user_id uuid NOT NULL,
    up_to uuid NOT NULL
);

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    needs integer DEFAULT 0 NOT NULL,
    CONSTRAINT schema_migrations_check CHECK (((needs >= 0) AND (needs <= number)))
);

CREATE TABLE public.sessions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    secret_sha256 bytea NOT NULL,
    way text NOT NULL,
    device text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sessions_device_check CHECK ((length(device) <= 120)),
    CONSTRAINT sessions_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT sessions_way_check CHECK ((way = ANY (ARRAY['code'::text, 'discord'::text, 'google'::text, 'link'::text, 'telegram'::text])))
);

CREATE TABLE public.setup (
    only_one boolean DEFAULT true NOT NULL,
    put_off text[] DEFAULT '{}'::text[] NOT NULL,
    token_id text,
    picture_job_id uuid,
    closed_at timestamp with time zone,
    CONSTRAINT setup_only_one_check CHECK (only_one),
    CONSTRAINT setup_put_off_check CHECK ((put_off <@ ARRAY['account'::text, 'address'::text, 'machine'::text, 'bots'::text, 'backup'::text]))
);

CREATE TABLE public.shares (
    job_id uuid NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT shares_token_check CHECK ((token ~ '^[A-Za-z0-9_-]{43}$'::text))
);

CREATE TABLE public.sign_ins (
    state_sha256 bytea NOT NULL,
    browser_sha256 bytea NOT NULL,
    provider text NOT NULL,
    verifier text NOT NULL,
    nonce text NOT NULL,
    next text NOT NULL,
    for_user uuid,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT sign_ins_browser_sha256_check CHECK ((octet_length(browser_sha256) = 32)),
    CONSTRAINT sign_ins_next_check CHECK (((length(next) >= 1) AND (length(next) <= 500))),
    CONSTRAINT sign_ins_nonce_check CHECK (((length(nonce) >= 1) AND (length(nonce) <= 128))),
    CONSTRAINT sign_ins_provider_check CHECK ((provider = ANY (ARRAY['discord'::text, 'google'::text, 'telegram'::text]))),
    CONSTRAINT sign_ins_state_sha256_check CHECK ((octet_length(state_sha256) = 32)),
    CONSTRAINT sign_ins_verifier_check CHECK (((length(verifier) >= 43) AND (length(verifier) <= 128)))
);

CREATE TABLE public.sign_ups (
    provider text NOT NULL,
    day date NOT NULL,
    users integer NOT NULL,
    CONSTRAINT sign_ups_users_check CHECK ((users > 0))
);

CREATE TABLE public.signing_keys (
    id integer NOT NULL,
    key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT signing_keys_key_check CHECK ((octet_length(key) = 32))
);

ALTER TABLE public.signing_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.signing_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.slots (
    worker_id uuid NOT NULL,
    slot smallint NOT NULL,
    lane_ids integer[] DEFAULT '{}'::integer[] NOT NULL,
    loaded_lane_id integer,
    vram_gib integer DEFAULT 0 NOT NULL,
    healthy boolean DEFAULT true NOT NULL,
    gpu jsonb DEFAULT '{}'::jsonb NOT NULL,
    failed_jobs uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    quarantined_at timestamp with time zone,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT slots_slot_check CHECK (((slot >= 0) AND (slot <= 15)))
)
WITH (fillfactor='50');

CREATE TABLE public.spent_proofs (
    proof_sha256 bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT spent_proofs_proof_sha256_check CHECK ((octet_length(proof_sha256) = 32))
);

CREATE TABLE public.switches (
    name text NOT NULL,
    paused_at timestamp with time zone,
    reason text DEFAULT ''::text NOT NULL,
    CONSTRAINT switches_name_check CHECK ((name = 'submits'::text))
);

CREATE TABLE public.unlinked_identities (
    provider text NOT NULL,
    subject text NOT NULL,
    unlinked_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE VIEW public.user_plans AS
 SELECT u.id AS user_id,
    u.status,
    u.paid_until,
    p.name AS plan,
    p.weight,
    p.queued_max,
    p.running_max,
    p.submits_per_minute,
    p.reads_per_minute,
    p.images,
    p.pixels_max,
    p.video_seconds_max,
    p.retention_days,
    p.pool_weight,
    p.pool_tokens_per_day,
    (floor(((p.tokens_per_day)::double precision * LEAST((1)::double precision, (((1)::double precision + date_part('day'::text, (now() - u.created_at))) / ((1 + p.newcomer_days))::double precision)))))::integer AS tokens_per_day
   FROM (public.users u
     JOIN public.plans p ON ((p.name =
        CASE
            WHEN ((u.paid_until + '3 days'::interval) < now()) THEN 'free'::text
            ELSE u.plan
        END)));

CREATE TABLE public.watches (
    only_one boolean DEFAULT true NOT NULL,
    free_at timestamp with time zone NOT NULL,
    looked_at timestamp with time zone,
    CONSTRAINT watches_only_one_check CHECK (only_one)
);

CREATE TABLE public.webhook_cursor (
    one boolean DEFAULT true NOT NULL,
    epoch text NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhook_cursor_one_check CHECK (one)
)
WITH (fillfactor='50');

CREATE TABLE public.webhook_deliveries (
    id uuid DEFAULT public.uuid7() NOT NULL,
    endpoint_id uuid NOT NULL,
    job_id uuid,
    event_seq bigint,
    type text NOT NULL,
    url text NOT NULL,
    host text GENERATED ALWAYS AS (COALESCE(lower("substring"(url, '^https?://([^/?#]+)'::text)), ''::text)) STORED NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    step smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now(),
    lease uuid,
    leased_until timestamp with time zone,
    last_attempt_at timestamp with time zone,
    last_status integer,
    last_error text,
    last_excerpt text,
    last_seconds real,
    delivered_at timestamp with time zone,
    event_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT delivered_once CHECK (((state = 'delivered'::text) = (delivered_at IS NOT NULL))),
    CONSTRAINT lease_is_whole CHECK (((lease IS NULL) = (leased_until IS NULL))),
    CONSTRAINT only_pending_is_leased CHECK (((lease IS NULL) OR (state = 'pending'::text))),
    CONSTRAINT pending_is_due CHECK (((state = 'pending'::text) = (next_attempt_at IS NOT NULL))),
    CONSTRAINT webhook_deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT webhook_deliveries_last_error_check CHECK ((length(last_error) <= 40)),
    CONSTRAINT webhook_deliveries_last_excerpt_check CHECK ((length(last_excerpt) <= 300)),
    CONSTRAINT webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text]))),
    CONSTRAINT webhook_deliveries_step_check CHECK ((step >= 0)),
    CONSTRAINT webhook_deliveries_type_check CHECK ((type ~ '^(job|webhook)\.[a-z_]+$'::text)),
    CONSTRAINT webhook_deliveries_url_check CHECK (((length(url) >= 1) AND (length(url) <= 1000)))
)
WITH (fillfactor='80');

CREATE TABLE public.webhook_endpoints (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    url text,
    events text[] NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    failing_since timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_reason text,
    enabled_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT disabled_for_a_reason CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT orders_are_not_disabled CHECK (((url IS NOT NULL) OR (disabled_at IS NULL))),
    CONSTRAINT webhook_endpoints_description_check CHECK ((length(description) <= 200)),
    CONSTRAINT webhook_endpoints_disabled_reason_check CHECK ((disabled_reason = ANY (ARRAY['owner'::text, 'gone'::text, 'failing'::text]))),
    CONSTRAINT webhook_endpoints_events_check CHECK (((cardinality(events) > 0) AND (events <@ ARRAY['job.started'::text, 'job.succeeded'::text, 'job.failed'::text, 'job.canceled'::text, 'job.expired'::text]))),
    CONSTRAINT webhook_endpoints_url_check CHECK (((length(url) >= 1) AND (length(url) <= 1000)))
);

CREATE TABLE public.webhook_secrets (
    endpoint_id uuid NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT webhook_secrets_secret_check CHECK (((octet_length(secret) >= 24) AND (octet_length(secret) <= 64)))
);

CREATE TABLE public.withheld (
    job_id uuid NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.workers (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    secret_sha256 bytea NOT NULL,
    trust text DEFAULT 'own'::text NOT NULL,
    agent_version text DEFAULT ''::text NOT NULL,
    enrolled_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone,
    draining boolean DEFAULT false NOT NULL,
    drain_requested_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT workers_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT workers_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT workers_trust_check CHECK ((trust = ANY (ARRAY['own'::text, 'guest'::text, 'sandbox'::text])))
)
WITH (fillfactor='70');

CREATE TABLE public.workflows (
    name text NOT NULL,
    kind text NOT NULL,
    model text NOT NULL,
    task text NOT NULL,
    version text NOT NULL,
    manifest text NOT NULL,
    graph text NOT NULL,
    licences text DEFAULT '[]'::text NOT NULL,
    weights text DEFAULT '[]'::text NOT NULL,
    published_at timestamp with time zone DEFAULT now() NOT NULL,
    withdrawn_at timestamp with time zone,
    CONSTRAINT workflows_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'::text)),
    CONSTRAINT workflows_version_check CHECK ((version ~ '^[0-9a-f]{64}$'::text))
);

ALTER TABLE ONLY public.attempts ATTACH PARTITION public.attempts_default DEFAULT;

ALTER TABLE ONLY public.job_events ATTACH PARTITION public.job_events_default DEFAULT;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_key_key UNIQUE (key);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (job_id, attempt, index);

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY public.attempts_default
    ADD CONSTRAINT attempts_default_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backups
    ADD CONSTRAINT backups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.balances
    ADD CONSTRAINT balances_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.chat_orders
    ADD CONSTRAINT chat_orders_pkey PRIMARY KEY (provider, subject, key);

ALTER TABLE ONLY public.chats
    ADD CONSTRAINT chats_pkey PRIMARY KEY (provider, subject);

ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.discards
    ADD CONSTRAINT discards_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.event_epochs
    ADD CONSTRAINT event_epochs_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.event_epochs
    ADD CONSTRAINT event_epochs_token_key UNIQUE (token);

ALTER TABLE ONLY public.guesses
    ADD CONSTRAINT guesses_pkey PRIMARY KEY (kind, guesser);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_pkey PRIMARY KEY (provider, subject);

ALTER TABLE ONLY public.incident_messages
    ADD CONSTRAINT incident_messages_pkey PRIMARY KEY (incident_id, channel);

ALTER TABLE ONLY public.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.input_uses
    ADD CONSTRAINT input_uses_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT inputs_key_key UNIQUE (key);

ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT inputs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.invite_uses
    ADD CONSTRAINT invite_uses_pkey PRIMARY KEY (invite_id, user_id);

ALTER TABLE ONLY public.invites
    ADD CONSTRAINT invites_code_sha256_key UNIQUE (code_sha256);

ALTER TABLE ONLY public.invites
    ADD CONSTRAINT invites_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.job_events
    ADD CONSTRAINT job_events_pkey PRIMARY KEY (job_id, seq);

ALTER TABLE ONLY public.job_events_default
    ADD CONSTRAINT job_events_default_pkey PRIMARY KEY (job_id, seq);

ALTER TABLE ONLY public.job_progress
    ADD CONSTRAINT job_progress_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.job_specs
    ADD CONSTRAINT job_specs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.key_spending
    ADD CONSTRAINT key_spending_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_kind_model_vram_gib_sandbox_task_key UNIQUE (kind, model, vram_gib, sandbox, task);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.ledger_checks
    ADD CONSTRAINT ledger_checks_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.ledger_transfers
    ADD CONSTRAINT ledger_transfers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.link_codes
    ADD CONSTRAINT link_codes_code_sha256_key UNIQUE (code_sha256);

ALTER TABLE ONLY public.link_codes
    ADD CONSTRAINT link_codes_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.login_links
    ADD CONSTRAINT login_links_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.login_links
    ADD CONSTRAINT login_links_token_sha256_key UNIQUE (token_sha256);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT message_once UNIQUE (endpoint_id, event_seq);

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (name, kind);

ALTER TABLE ONLY public.newcomers
    ADD CONSTRAINT newcomers_pkey PRIMARY KEY (browser_sha256);

ALTER TABLE ONLY public.packs
    ADD CONSTRAINT packs_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.payments_unmatched
    ADD CONSTRAINT payments_unmatched_pkey PRIMARY KEY (provider, provider_id, user_id);

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.provenance
    ADD CONSTRAINT provenance_pkey PRIMARY KEY (job_id, attempt);

ALTER TABLE ONLY public.publications
    ADD CONSTRAINT publications_once UNIQUE (job_id, attempt, index);

ALTER TABLE ONLY public.publications
    ADD CONSTRAINT publications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_once UNIQUE NULLS NOT DISTINCT (reporter_id, job_id, index);

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.retirements
    ADD CONSTRAINT retirements_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_secret_sha256_key UNIQUE (secret_sha256);

ALTER TABLE ONLY public.settlements
    ADD CONSTRAINT settlements_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.setup
    ADD CONSTRAINT setup_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.shares
    ADD CONSTRAINT shares_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.shares
    ADD CONSTRAINT shares_token_key UNIQUE (token);

ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_pkey PRIMARY KEY (state_sha256);

ALTER TABLE ONLY public.sign_ups
    ADD CONSTRAINT sign_ups_pkey PRIMARY KEY (provider, day);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (worker_id, slot);

ALTER TABLE ONLY public.spent_proofs
    ADD CONSTRAINT spent_proofs_pkey PRIMARY KEY (proof_sha256);

ALTER TABLE ONLY public.switches
    ADD CONSTRAINT switches_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.unlinked_identities
    ADD CONSTRAINT unlinked_identities_pkey PRIMARY KEY (provider, subject);

ALTER TABLE ONLY public.usage_daily
    ADD CONSTRAINT usage_daily_pkey PRIMARY KEY (user_id, day);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_test_of_key UNIQUE (test_of);

ALTER TABLE ONLY public.watches
    ADD CONSTRAINT watches_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.webhook_cursor
    ADD CONSTRAINT webhook_cursor_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_secrets
    ADD CONSTRAINT webhook_secrets_pkey PRIMARY KEY (endpoint_id, secret);

ALTER TABLE ONLY public.withheld
    ADD CONSTRAINT withheld_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_secret_sha256_key UNIQUE (secret_sha256);

ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_pkey PRIMARY KEY (name);

CREATE INDEX api_keys_origins ON public.api_keys USING gin (origins) WHERE (revoked_at IS NULL);

CREATE INDEX api_keys_user ON public.api_keys USING btree (user_id);

CREATE INDEX artifacts_created ON public.artifacts USING btree (created_at);

CREATE UNIQUE INDEX attempts_one_live ON ONLY public.attempts USING btree (job_id) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX attempts_default_job_id_idx ON public.attempts_default USING btree (job_id) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX attempts_one_success ON ONLY public.attempts USING btree (job_id) WHERE (outcome = 'succeeded'::text);

CREATE UNIQUE INDEX attempts_default_job_id_idx1 ON public.attempts_default USING btree (job_id) WHERE (outcome = 'succeeded'::text);

CREATE INDEX audit_log_object ON public.audit_log USING btree (object_kind, object_id, id DESC);

CREATE INDEX backups_started ON public.backups USING btree (started_at DESC);

CREATE INDEX departures_open ON public.departures USING btree (asked_at) WHERE (finished_at IS NULL);

CREATE INDEX identities_user ON public.identities USING btree (user_id);

CREATE INDEX incidents_closed ON public.incidents USING btree (closed_at) WHERE (closed_at IS NOT NULL);

CREATE UNIQUE INDEX incidents_live ON public.incidents USING btree (kind, subject) WHERE (closed_at IS NULL);

CREATE INDEX input_uses_input ON public.input_uses USING btree (input_id);

CREATE INDEX inputs_expires ON public.inputs USING btree (expires_at);

CREATE INDEX inputs_received ON public.inputs USING btree (user_id, received_sha256);

CREATE INDEX inputs_user ON public.inputs USING btree (user_id, id DESC);

CREATE INDEX invite_uses_user ON public.invite_uses USING btree (user_id);

CREATE INDEX job_events_tail ON ONLY public.job_events USING btree (xid, seq);

CREATE INDEX job_events_default_xid_seq_idx ON public.job_events_default USING btree (xid, seq);

CREATE INDEX jobs_backoff ON public.jobs USING btree (due_at) WHERE ((state = 'queued'::text) AND (due_at IS NOT NULL));

CREATE UNIQUE INDEX jobs_leased ON public.jobs USING btree (worker_id, claim_id, slot) WHERE (state = 'running'::text);

CREATE INDEX jobs_pool ON public.jobs USING btree (pool, lane_id) INCLUDE (cost) WHERE ((state = 'queued'::text) AND (pool IS NOT NULL));

CREATE INDEX jobs_ready ON public.jobs USING btree (lane_id, tag, id) WHERE ((state = 'queued'::text) AND (tag IS NOT NULL));

CREATE INDEX jobs_start_by ON public.jobs USING btree (start_by) WHERE ((state = 'queued'::text) AND (start_by IS NOT NULL));

CREATE INDEX jobs_user ON public.jobs USING btree (user_id, id DESC);

CREATE INDEX jobs_user_queued ON public.jobs USING btree (user_id, lane_id, tag) WHERE (state = 'queued'::text);

CREATE UNIQUE INDEX ledger_transfers_job ON public.ledger_transfers USING btree (job_id, debit, credit) WHERE (job_id IS NOT NULL);

CREATE INDEX ledger_transfers_user ON public.ledger_transfers USING btree (user_id, id);

CREATE INDEX newcomers_expire ON public.newcomers USING btree (expires_at);

CREATE UNIQUE INDEX payments_provider_id ON public.payments USING btree (provider, provider_id);

CREATE INDEX payments_user ON public.payments USING btree (user_id, id DESC);

CREATE INDEX publications_state ON public.publications USING btree (state, id DESC);

CREATE INDEX reports_job ON public.reports USING btree (job_id);

CREATE INDEX reports_state ON public.reports USING btree (state, id DESC);

CREATE INDEX sessions_expire ON public.sessions USING btree (expires_at);

CREATE INDEX sessions_user ON public.sessions USING btree (user_id);

CREATE INDEX settlements_user ON public.settlements USING btree (user_id, job_id DESC);

CREATE INDEX sign_ins_expire ON public.sign_ins USING btree (expires_at);

CREATE INDEX spent_proofs_expire ON public.spent_proofs USING btree (expires_at);

CREATE INDEX usage_daily_day ON public.usage_daily USING btree (day);

CREATE INDEX users_merged_into ON public.users USING btree (merged_into) WHERE (merged_into IS NOT NULL);

CREATE UNIQUE INDEX users_name ON public.users USING btree (name);

CREATE INDEX users_suspended ON public.users USING btree (id) WHERE (status = 'suspended'::text);

CREATE INDEX webhook_deliveries_created ON public.webhook_deliveries USING btree (created_at) WHERE (state <> 'pending'::text);

CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (next_attempt_at) WHERE (state = 'pending'::text);

CREATE INDEX webhook_deliveries_leased ON public.webhook_deliveries USING btree (leased_until) WHERE (leased_until IS NOT NULL);

CREATE INDEX webhook_deliveries_line ON public.webhook_deliveries USING btree (endpoint_id, host, next_attempt_at) WHERE (state = 'pending'::text);

CREATE INDEX webhook_deliveries_log ON public.webhook_deliveries USING btree (endpoint_id, id DESC);

CREATE UNIQUE INDEX webhook_endpoints_of_orders ON public.webhook_endpoints USING btree (user_id) WHERE (url IS NULL);

CREATE INDEX webhook_endpoints_user ON public.webhook_endpoints USING btree (user_id, id);

CREATE INDEX webhook_endpoints_wanted ON public.webhook_endpoints USING btree (id) WHERE (disabled_at IS NULL);

CREATE UNIQUE INDEX workers_sandbox ON public.workers USING btree (trust) WHERE (trust = 'sandbox'::text);

CREATE UNIQUE INDEX workflows_one_for_a_task ON public.workflows USING btree (model, kind, task) WHERE (withdrawn_at IS NULL);

ALTER INDEX public.attempts_one_live ATTACH PARTITION public.attempts_default_job_id_idx;

ALTER INDEX public.attempts_one_success ATTACH PARTITION public.attempts_default_job_id_idx1;

ALTER INDEX public.attempts_pkey ATTACH PARTITION public.attempts_default_pkey;

ALTER INDEX public.job_events_pkey ATTACH PARTITION public.job_events_default_pkey;

ALTER INDEX public.job_events_tail ATTACH PARTITION public.job_events_default_xid_seq_idx;

CREATE TRIGGER artifacts_published BEFORE INSERT OR UPDATE OF visibility ON public.artifacts FOR EACH ROW WHEN ((('published'::text = new.visibility) OR ('published'::text = new.visibility_before))) EXECUTE FUNCTION public.check_published();

CREATE TRIGGER job_specs_release_input AFTER UPDATE OF spec ON public.job_specs FOR EACH ROW WHEN ((((old.spec -> 'input_image'::text) ? 'id'::text) AND (NOT COALESCE(((new.spec -> 'input_image'::text) ? 'id'::text), false)))) EXECUTE FUNCTION public.release_input();

CREATE TRIGGER job_specs_use_input AFTER INSERT ON public.job_specs FOR EACH ROW WHEN (((new.spec -> 'input_image'::text) ? 'id'::text)) EXECUTE FUNCTION public.use_input();

CREATE TRIGGER jobs_hold AFTER INSERT ON public.jobs REFERENCING NEW TABLE AS born FOR EACH STATEMENT EXECUTE FUNCTION public.hold_tokens();

CREATE TRIGGER jobs_settle AFTER UPDATE ON public.jobs REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.settle();

CREATE TRIGGER publications_check BEFORE INSERT OR UPDATE ON public.publications FOR EACH ROW EXECUTE FUNCTION public.check_publication();

CREATE TRIGGER publications_publish AFTER UPDATE OF state ON public.publications FOR EACH ROW WHEN (((old.state = 'approved'::text) IS DISTINCT FROM (new.state = 'approved'::text))) EXECUTE FUNCTION public.publish_artifact();

CREATE TRIGGER users_balance AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.open_balance();

CREATE TRIGGER users_merge_inputs AFTER UPDATE OF status ON public.users FOR EACH ROW WHEN (((new.status = 'merged'::text) AND (old.status <> 'merged'::text))) EXECUTE FUNCTION public.merge_inputs();

CREATE TRIGGER users_move_webhooks AFTER UPDATE OF merged_into ON public.users FOR EACH ROW WHEN ((new.merged_into IS DISTINCT FROM old.merged_into)) EXECUTE FUNCTION public.move_webhooks();

CREATE TRIGGER users_suspend AFTER UPDATE OF status ON public.users FOR EACH ROW WHEN ((new.status IS DISTINCT FROM old.status)) EXECUTE FUNCTION public.suspend_balance();

CREATE TRIGGER users_walk_again AFTER UPDATE OF merged_into ON public.users FOR EACH ROW WHEN ((new.merged_into IS DISTINCT FROM old.merged_into)) EXECUTE FUNCTION public.walk_again();

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.balances
    ADD CONSTRAINT balances_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.chats
    ADD CONSTRAINT chats_changed_by_fkey FOREIGN KEY (changed_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.incident_messages
    ADD CONSTRAINT incident_messages_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES public.incidents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.input_uses
    ADD CONSTRAINT input_uses_input_id_fkey FOREIGN KEY (input_id) REFERENCES public.inputs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT inputs_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.invite_uses
    ADD CONSTRAINT invite_uses_invite_id_fkey FOREIGN KEY (invite_id) REFERENCES public.invites(id);

ALTER TABLE ONLY public.invite_uses
    ADD CONSTRAINT invite_uses_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.invites
    ADD CONSTRAINT invites_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.key_spending
    ADD CONSTRAINT key_spending_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.api_keys(id);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_model_kind_fkey FOREIGN KEY (model, kind) REFERENCES public.models(name, kind);

ALTER TABLE ONLY public.link_codes
    ADD CONSTRAINT link_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.login_links
    ADD CONSTRAINT login_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pack_fkey FOREIGN KEY (pack) REFERENCES public.packs(name);

ALTER TABLE ONLY public.payments_unmatched
    ADD CONSTRAINT payments_unmatched_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.publications
    ADD CONSTRAINT publications_of_files FOREIGN KEY (job_id, attempt, index) REFERENCES public.artifacts(job_id, attempt, index) ON DELETE CASCADE;

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_reporter_id_fkey FOREIGN KEY (reporter_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.retirements
    ADD CONSTRAINT retirements_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.setup
    ADD CONSTRAINT setup_token_id_fkey FOREIGN KEY (token_id) REFERENCES public.enrolment_tokens(id);

ALTER TABLE ONLY public.shares
    ADD CONSTRAINT shares_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_for_user_fkey FOREIGN KEY (for_user) REFERENCES public.users(id);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_loaded_lane_id_fkey FOREIGN KEY (loaded_lane_id) REFERENCES public.lanes(id);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_merged_into_fkey FOREIGN KEY (merged_into) REFERENCES public.users(id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_test_of_fkey FOREIGN KEY (test_of) REFERENCES public.users(id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoints(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.webhook_endpoints
    ADD CONSTRAINT webhook_endpoints_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.webhook_secrets
    ADD CONSTRAINT webhook_secrets_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.webhook_endpoints(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_model_kind_fkey FOREIGN KEY (model, kind) REFERENCES public.models(name, kind);

GRANT USAGE ON SCHEMA public TO tessera_app;

REVOKE ALL ON FUNCTION public.begin_event_epoch() FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_event_epoch() TO tessera_app;

REVOKE ALL ON FUNCTION public.depart(of_user uuid, OUT refusal text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.depart(of_user uuid, OUT refusal text) TO tessera_app;

REVOKE ALL ON FUNCTION public.ensure_partitions(ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_partitions(ahead integer) TO tessera_app;

REVOKE ALL ON FUNCTION public.finish_departure(of_user uuid, OUT finished boolean, OUT keys text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.finish_departure(of_user uuid, OUT finished boolean, OUT keys text[]) TO tessera_app;

REVOKE ALL ON FUNCTION public.hold_tokens() FROM PUBLIC;

GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO tessera_app;

REVOKE ALL ON FUNCTION public.merge_inputs() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.merge_users(one uuid, other uuid, OUT survivor uuid, OUT gone uuid, OUT refusal text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.merge_users(one uuid, other uuid, OUT survivor uuid, OUT gone uuid, OUT refusal text) TO tessera_app;

REVOKE ALL ON FUNCTION public.move_webhooks() FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.artifacts TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.jobs TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.reports TO tessera_app;

GRANT UPDATE(state) ON TABLE public.reports TO tessera_app;

GRANT UPDATE(handled_at) ON TABLE public.reports TO tessera_app;

GRANT UPDATE(handled_by) ON TABLE public.reports TO tessera_app;

REVOKE ALL ON FUNCTION public.open_balance() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.release_input() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.retire_jobs(candidates uuid[], before timestamp with time zone, OUT retired uuid[], OUT keys text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.retire_user(of_user uuid, before timestamp with time zone, most integer, OUT seen integer, OUT keys text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retire_user(of_user uuid, before timestamp with time zone, most integer, OUT seen integer, OUT keys text[]) TO tessera_app;

REVOKE ALL ON FUNCTION public.retire_withheld(ahead interval, most integer, OUT seen integer, OUT keys text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retire_withheld(ahead interval, most integer, OUT seen integer, OUT keys text[]) TO tessera_app;

REVOKE ALL ON FUNCTION public.settle() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.suspend_balance() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.use_input() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.walk_again() FROM PUBLIC;

GRANT SELECT,INSERT,UPDATE ON TABLE public.api_keys TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.attempts TO tessera_app;

GRANT SELECT ON TABLE public.attempts_default TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.audit_log TO tessera_app;

GRANT SELECT ON TABLE public.backups TO tessera_app;

GRANT SELECT ON TABLE public.balances TO tessera_app;

GRANT UPDATE(purchased) ON TABLE public.balances TO tessera_app;

GRANT UPDATE(queued) ON TABLE public.balances TO tessera_app;

GRANT UPDATE(running) ON TABLE public.balances TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.batches TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.chat_orders TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.chats TO tessera_app;

GRANT SELECT ON TABLE public.departures TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.discards TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.enrolment_tokens TO tessera_app;

GRANT SELECT ON TABLE public.event_epochs TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.guesses TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.idempotency_keys TO tessera_app;

GRANT UPDATE(job_id) ON TABLE public.idempotency_keys TO tessera_app;

GRANT UPDATE(waiting) ON TABLE public.idempotency_keys TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.identities TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.incident_messages TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.incidents TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.input_uses TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.inputs TO tessera_app;

GRANT UPDATE(expires_at) ON TABLE public.inputs TO tessera_app;

GRANT UPDATE(adult) ON TABLE public.inputs TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.invite_uses TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.invites TO tessera_app;

GRANT USAGE ON SEQUENCE public.job_events_seq TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.job_events TO tessera_app;

GRANT SELECT ON TABLE public.job_events_default TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.job_progress TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.job_specs TO tessera_app;

GRANT UPDATE(spec) ON TABLE public.job_specs TO tessera_app;

GRANT UPDATE(metadata) ON TABLE public.job_specs TO tessera_app;

GRANT UPDATE(webhook_url) ON TABLE public.job_specs TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.key_spending TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.lanes TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.ledger_checks TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.ledger_transfers TO tessera_app;

GRANT SELECT ON TABLE public.settlements TO tessera_app;

GRANT SELECT ON TABLE public.usage_daily TO tessera_app;

GRANT SELECT ON TABLE public.ledger_violations TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.link_codes TO tessera_app;

GRANT SELECT,UPDATE ON TABLE public.plans TO tessera_app;

GRANT SELECT ON TABLE public.live_inputs TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.login_links TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.models TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.newcomers TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.packs TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.payments TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.payments_unmatched TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.provenance TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.publications TO tessera_app;

GRANT UPDATE(id) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(state) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(show_prompt) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(reason) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(proposed_at) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(decided_at) ON TABLE public.publications TO tessera_app;

GRANT UPDATE(decided_by) ON TABLE public.publications TO tessera_app;

GRANT SELECT ON TABLE public.retirements TO tessera_app;

GRANT SELECT ON TABLE public.schema_migrations TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sessions TO tessera_app;

GRANT SELECT,UPDATE ON TABLE public.setup TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.shares TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sign_ins TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.sign_ups TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.signing_keys TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.slots TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.spent_proofs TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.switches TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.unlinked_identities TO tessera_app;

GRANT UPDATE(unlinked_at) ON TABLE public.unlinked_identities TO tessera_app;

GRANT SELECT ON TABLE public.user_plans TO tessera_app;

GRANT SELECT,UPDATE ON TABLE public.watches TO tessera_app;

GRANT SELECT,UPDATE ON TABLE public.webhook_cursor TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_deliveries TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_endpoints TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_secrets TO tessera_app;

GRANT SELECT ON TABLE public.withheld TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.workers TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.workflows TO tessera_app;

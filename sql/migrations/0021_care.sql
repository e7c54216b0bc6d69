-- Care for what people leave with us: what is over and older than its owner's plan keeps it loses its details, and what is
-- known of somebody who leaves goes, but for what the books need. Jobs, attempts, settlements and the ledger stay.

------------------------------------------------------------------------------------------- retention

-- How far the jobs of a user have been retired, in the order of their ids, so that no job is looked at twice and none
-- needs an index for it.
create table retirements (
    user_id uuid primary key references users,
    up_to uuid not null
);

-- Jobs that were passed over on the way: not over, of files under a legal hold or in the gallery, of a report that is open.
create table withheld (
    job_id uuid primary key,
    since timestamptz not null default now()
);

-- A user, all who became part of them, and the users in whose names their test keys order.
create function household(of_user uuid) returns uuid[]
    language sql stable
    return array(
        select mine.id from users mine where of_user in (mine.id, mine.merged_into)
        union all
        select t.id from users mine join users t on t.test_of = mine.id where of_user in (mine.id, mine.merged_into));

-- Whether the details of a job must stay for now, however old they are. What its owner has reported keeps nothing.
create function must_be_kept(of_job uuid) returns boolean
    language sql stable
    return exists (
            select from artifacts a
            where a.job_id = of_job and (a.legal_hold or 'published' in (a.visibility, a.visibility_before)))
        or exists (
            select from reports r join jobs j on j.id = r.job_id
            where r.job_id = of_job and r.state = 'open' and r.reporter_id <> all (household(j.user_id)));

-- Takes the details of those of these jobs that were over before an instant and need not be kept: files (the store is told by
-- `discards`), link, prompt, what it was made with, its events, and what engines said. A job that somebody holds is
-- passed over. What may be gone already is not written once more.
create function retire_jobs(candidates uuid[], before timestamptz, out retired uuid[], out keys text[])
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
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
    update job_specs s
    set spec = s.spec || '{"prompt": "", "negative_prompt": "", "input_image": null}', metadata = '{}', webhook_url = null
    where s.job_id = any (retired) and (
        s.spec ->> 'prompt' <> '' or s.spec ->> 'negative_prompt' <> '' or jsonb_typeof(s.spec -> 'input_image') = 'object'
        or s.metadata <> '{}' or s.webhook_url is not null);
end
$$;

-- The next jobs of one user, at most so many; the walk goes on behind them. Two processes do not walk one user at once.
create function retire_user(of_user uuid, before timestamptz, most integer, out seen integer, out keys text[])
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
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

-- Of those that were passed over, what need not be kept any more. `ahead`: as it will be then.
create function retire_withheld(ahead interval, most integer, out seen integer, out keys text[])
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
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

-- Jobs of somebody who became part of another user may lie before the place that the other one's walk has reached.
create function walk_again() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
begin
    delete from retirements where user_id in (new.id, new.merged_into);
    return null;
end
$$;
create trigger users_walk_again after update of merged_into on users
    for each row when (new.merged_into is distinct from old.merged_into) execute function walk_again();

------------------------------------------------------------------------------------------- leaving

-- Who has left. What jobs still need goes when they are over; `finished_at` says that nothing is left but the books.
create table departures (
    user_id uuid primary key references users,
    asked_at timestamptz not null default now(),
    finished_at timestamptz
);
create index departures_open on departures (asked_at) where finished_at is null;

-- What is remembered of the identity of somebody who has left, for as long as it opens no new account.
create function identity_digest(provider text, subject text) returns text
    language sql immutable parallel safe
    return 'sha256:' || encode(sha256(convert_to(provider || ':' || subject, 'UTF8')), 'hex');

-- Somebody leaves: nobody is recognised as them any more, and who they are is known no more. What their jobs hold follows
-- when those are over (`retire_user`, `finish_departure`). Amounts and dates of the ledger stay as they are, under an id
-- that says nothing; only the words of operators go from it, and from the audit log what names the person.
create function depart(of_user uuid, out refusal text)
    language plpgsql security definer
    set search_path = public, pg_temp
    set enable_hashjoin = on
as $$
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
$$;

-- The last of somebody who has left, once none of their jobs goes on and each was retired: inputs that no job needs, and
-- what others have written about their jobs.
create function finish_departure(of_user uuid, out finished boolean, out keys text[])
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
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

------------------------------------------------------------------------------------------- rights

grant select on retirements, withheld, departures to tessera_app;
grant delete on guesses to tessera_app;
revoke execute on function retire_jobs(uuid[], timestamptz), retire_user(uuid, timestamptz, integer),
    retire_withheld(interval, integer), walk_again(), depart(uuid), finish_departure(uuid) from public;
grant execute on function retire_user(uuid, timestamptz, integer), retire_withheld(interval, integer), depart(uuid),
    finish_departure(uuid) to tessera_app;

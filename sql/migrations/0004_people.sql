-- People: one person behind several identities (link codes, merging, unlinking), who may sign up, and invites.

------------------------------------------------------------------------------------------- merged users

-- A merged user is a name for what happened before; everything that was theirs is the survivor's (`merged_into`, never
-- merged itself). Their lines of the ledger stay, for it is append-only.
alter table users
    add column merged_into uuid references users,
    add column merged_at timestamptz,
    drop constraint users_status_check,
    add constraint users_status_check check (status in ('active', 'suspended', 'deleted', 'merged')),
    add constraint merged_into_somebody check (num_nonnulls(merged_into, merged_at) = case status when 'merged' then 2 else 0 end);
create index users_merged_into on users (merged_into) where merged_into is not null;

------------------------------------------------------------------------------------------- link codes

-- The code that a user has just been shown, one at a time: whoever enters it becomes one with them.
create table link_codes (
    user_id uuid primary key references users,
    code_sha256 bytea not null unique check (octet_length(code_sha256) = 32),
    expires_at timestamptz not null
);

-- How often somebody (a user, an identity; '' is everybody together) has tried something that can be guessed, in the
-- period that began at `since`.
create unlogged table guesses (
    kind text not null check (kind in ('link_code', 'link', 'invite')),
    guesser text not null,
    since timestamptz not null,
    guesses integer not null check (guesses > 0),
    primary key (kind, guesser)
);

-- Identities that their user gave up. Seen again too soon they do not become a new user, or giving one up and taking it
-- back would be an allowance of tokens each time.
create table unlinked_identities (
    provider text not null,
    subject text not null,
    unlinked_at timestamptz not null default now(),
    primary key (provider, subject)
);

------------------------------------------------------------------------------------------- sign-up

-- How many users came by a provider on a day (UTC).
create table sign_ups (
    provider text not null,
    day date not null,
    users integer not null check (users > 0),
    primary key (provider, day)
);

create table invites (
    id integer generated always as identity primary key,
    code_sha256 bytea not null unique check (octet_length(code_sha256) = 32),
    plan text references plans,
    tokens integer not null default 0 check (tokens >= 0),
    uses integer not null check (uses > 0),
    used integer not null default 0 check (used between 0 and uses),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

-- A user takes an invite once.
create table invite_uses (
    invite_id integer not null references invites,
    user_id uuid not null references users,
    used_at timestamptz not null default now(),
    primary key (invite_id, user_id)
);
create index invite_uses_user on invite_uses (user_id);

------------------------------------------------------------------------------------------- merging

-- Makes two users one, or says why not (`same`, `unknown`, `merged`, `suspended`).
--   Who survives: the older one, by name, age and settings. The better plan is kept (more tokens a day, then more weight,
--   then the higher price) with the date that it is paid until; of one plan, the later date. Nobody launders a
--   suspension: a suspended user does not merge.
--   The books: what the other one has purchased, holds, and has taken of each day goes over by pairs of `adjust`
--   transfers, so both folds stay right; usage of a day adds up, so merging is never a second allowance.
-- Locks jobs (by id) before balances (by user id), as everybody does. Jobs that were born or moved meanwhile and that
-- somebody holds are not waited for with the balances locked, which would be a circle: it gives up with a serialization
-- failure and is to be tried again. Merges happen one at a time. Jobs that are over are moved first, while nothing that
-- anybody waits for is locked.
create function merge_users(one uuid, other uuid, out survivor uuid, out gone uuid, out refusal text)
    language plpgsql security definer
    set search_path = public, pg_temp
    set enable_hashjoin = on
as $$
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

------------------------------------------------------------------------------------------- rights

grant select, insert, update on link_codes, guesses, sign_ups, invites to tessera_app;
grant select, insert on invite_uses, unlinked_identities to tessera_app;
grant update (unlinked_at) on unlinked_identities to tessera_app;
grant delete on identities, link_codes, unlinked_identities to tessera_app;
revoke execute on function merge_users(uuid, uuid) from public;
grant execute on function merge_users(uuid, uuid) to tessera_app;

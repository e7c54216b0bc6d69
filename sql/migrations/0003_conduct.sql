-- Conduct: what an operator did (`audit_log`), what people complained about (`reports`), what nobody may see any more
-- (quarantine), who may order nothing more (suspension). Blocked words stand in the operator's policy file, not here.

------------------------------------------------------------------------------------------- what was done, and by whom

-- Append-only: the application may add rows and read them, nothing else. `actor_id` is the id of a user, of a
-- worker, or of a service's key; the operator at the command line has none. `detail` repeats nothing that a customer typed.
create table audit_log (
    id bigint generated always as identity primary key,
    actor_kind text not null check (actor_kind in ('operator', 'user', 'service', 'worker')),
    actor_id text check (length(actor_id) between 1 and 64),
    verb text not null check (verb ~ '^[a-z][a-z_]{0,31}$'),
    object_kind text not null check (object_kind ~ '^[a-z][a-z_]{0,31}$'),
    object_id text not null check (length(object_id) between 1 and 200),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object' and length(detail::text) <= 4000),
    at timestamptz not null default now(),
    constraint operator_has_no_id check ((actor_kind = 'operator') = (actor_id is null))
);
create index audit_log_object on audit_log (object_kind, object_id, id desc);

------------------------------------------------------------------------------------------- reports

-- One person's complaint about a file (`index`), or about a job as a whole (null). The same person reports the same
-- thing once; what the operator decided stays.
create table reports (
    id uuid primary key default uuid7(),
    job_id uuid not null references jobs,
    index smallint check (index between 0 and 63),
    reporter_id uuid not null references users,
    category text not null check (category in ('minors', 'sexual', 'violence', 'hate', 'person', 'copyright', 'other')),
    text text not null default '' check (length(text) <= 1000),
    state text not null default 'open' check (state in ('open', 'upheld', 'dismissed')),
    created_at timestamptz not null default now(),
    handled_at timestamptz,
    handled_by text check (length(handled_by) between 1 and 64),
    constraint handled_by_somebody check (
        num_nonnulls(handled_at, handled_by) = case state when 'open' then 0 else 2 end),
    constraint reports_once unique nulls not distinct (reporter_id, job_id, index)
);
create index reports_state on reports (state, id desc);
create index reports_job on reports (job_id);

------------------------------------------------------------------------------------------- quarantine

-- What a file was before it was quarantined, to be it again.
alter table artifacts
    add column visibility_before text check (visibility_before in ('private', 'shared', 'published')),
    add constraint quarantine_remembers check ((visibility = 'quarantined') = (visibility_before is not null));

------------------------------------------------------------------------------------------- suspension

create index users_suspended on users (id) where status = 'suspended';

-- Whether the user may order nothing: `users.status` once more, in the row that admission locks. A submit that waited
-- for the lock sees a suspension that was committed meanwhile, so none slips in behind the cancellation of the rest.
alter table balances add column suspended boolean not null default false;
update balances set suspended = true from users where users.id = balances.user_id and users.status <> 'active';

create function suspend_balance() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
begin
    update balances set suspended = new.status <> 'active' where user_id = new.id;
    return null;
end
$$;
create trigger users_suspend after update of status on users
    for each row when (new.status is distinct from old.status) execute function suspend_balance();

------------------------------------------------------------------------------------------- rights

grant select, insert on audit_log, reports to tessera_app;
grant update (state, handled_at, handled_by) on reports to tessera_app;
revoke execute on function suspend_balance() from public;

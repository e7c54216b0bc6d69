-- The gallery: files that their owners want everybody to see, and that the operator lets everybody see.

-- The wish of an owner about one file of a job that has succeeded. Whose it is says the job, so it moves with the job when
-- two people become one; it goes with the file, whyever that goes. A withdrawn one may be proposed again; a refusal stays.
create table publications (
    id uuid primary key default uuid7(),
    job_id uuid not null,
    attempt integer not null,
    index smallint not null,
    state text not null default 'proposed' check (state in ('proposed', 'approved', 'refused', 'withdrawn')),
    show_prompt boolean not null,
    reason text not null default '' check (length(reason) <= 300),
    proposed_at timestamptz not null default now(),
    decided_at timestamptz,
    decided_by text check (length(decided_by) between 1 and 64),
    constraint publications_once unique (job_id, attempt, index),
    constraint publications_of_files foreign key (job_id, attempt, index) references artifacts on delete cascade,
    constraint decided_by_somebody check (
        num_nonnulls(decided_at, decided_by) = case when state in ('approved', 'refused') then 2 else 0 end),
    constraint refused_for_a_reason check ((state = 'refused') = (reason <> ''))
);
create index publications_state on publications (state, id desc);

------------------------------------------------------------------------------------------- what may become of it

-- Only a result of somebody real is proposed, nothing is approved that was not proposed, and what was refused stays so.
create function check_publication() returns trigger
    language plpgsql
as $$
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
create trigger publications_check before insert or update on publications
    for each row execute function check_publication();

-- A file is published exactly while its publication is approved; a quarantined one remembers it.
create function publish_artifact() returns trigger
    language plpgsql
as $$
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
create trigger publications_publish after update of state on publications
    for each row when ((old.state = 'approved') is distinct from (new.state = 'approved'))
    execute function publish_artifact();

create function check_published() returns trigger
    language plpgsql
as $$
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
create trigger artifacts_published before insert or update of visibility on artifacts
    for each row when ('published' in (new.visibility, new.visibility_before)) execute function check_published();

------------------------------------------------------------------------------------------- rights

grant select, insert on publications to tessera_app;
grant update (id, state, show_prompt, reason, proposed_at, decided_at, decided_by) on publications to tessera_app;

-- The log of events as a tail that can be followed. Numbers of a sequence are given out before their transactions
-- commit, so whoever remembers the largest one seen jumps over what commits late. Each event therefore carries its
-- transaction too: what is older than the oldest transaction that still runs is complete, and is read in the order of
-- (xid, seq). Events from before this migration count as its own.
alter table job_events add column xid xid8 not null default pg_current_xact_id();
create index job_events_tail on job_events (xid, seq);

-- Transactions are numbered by the cluster: a dump restored elsewhere brings numbers that mean nothing there. Then a
-- new epoch begins; positions in the log name their epoch, and events up to `first_seq` belong to older ones.
create table event_epochs (
    number integer generated always as identity primary key,
    token text not null default substring(replace(gen_random_uuid()::text, '-', '') for 8) unique,
    system_identifier bigint not null,
    first_seq bigint not null,
    started_at timestamptz not null default now()
);
insert into event_epochs (system_identifier, first_seq) select system_identifier, 0 from pg_control_system();

-- Begins a new epoch when this cluster is not the one of the last; every process asks before it writes anything.
create function begin_event_epoch() returns void
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
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

grant select on event_epochs to tessera_app;
revoke execute on function begin_event_epoch() from public;
grant execute on function begin_event_epoch() to tessera_app;

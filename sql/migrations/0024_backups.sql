-- Backups as facts: what was made when and where, and whether it could be restored.

-- A row begins when the snapshot stands, so it is not in its own backup. One that began and never ended was cut down.
-- `verified_at` says when it was read back from its place, restored into an empty server and found equal.
create table backups (
    id uuid primary key default uuid7(),
    kind text not null check (kind in ('dump', 'base')),
    place text not null check (length(place) between 1 and 1000),
    name text not null check (length(name) between 1 and 100),
    sealed boolean not null,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    verified_at timestamptz,
    bytes bigint check (bytes >= 0),
    files integer check (files >= 0),
    files_missing integer check (files_missing >= 0),
    error text check (length(error) between 1 and 2000),
    constraint verified_when_ended check (verified_at is null or ended_at is not null)
);
create index backups_started on backups (started_at desc);

grant select on backups to tessera_app;

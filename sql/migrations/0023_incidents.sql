-- What is wrong, as the operator is told of it: one incident from when it was first seen until it is gone, and one message
-- of it at each address.

create table incidents (
    id bigint generated always as identity primary key,
    kind text not null check (kind ~ '^[a-z_]{1,40}$'),
    subject text not null check (length(subject) <= 200),
    -- Which of several: a bot's name, a host. Empty: there is only one.
    summary text not null check (length(summary) between 1 and 1000),
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    opened_at timestamptz,
    -- Null: it has not lasted long enough to be told.
    reminded_at timestamptz,
    reminders integer not null default 0 check (reminders >= 0),
    acked_at timestamptz,
    closed_at timestamptz check (closed_at is null or opened_at is not null),
    edition integer not null default 0 check (edition >= 0),
    -- Rises with everything that is to be told; `edition_at` says when, `rings` with which it last was worth a noise.
    edition_at timestamptz not null default now(),
    rings integer not null default 0 check (rings <= edition)
);
create unique index incidents_live on incidents (kind, subject) where closed_at is null;
create index incidents_closed on incidents (closed_at) where closed_at is not null;

create table incident_messages (
    incident_id bigint not null references incidents on delete cascade,
    channel text not null check (length(channel) between 1 and 64),
    -- A name of the address, made of its hash: addresses hold secrets.
    handle text not null check (length(handle) <= 300),
    -- By which the platform knows the message.
    edition integer not null check (edition >= 0),
    told_at timestamptz not null default now(),
    primary key (incident_id, channel)
);

-- Who looks now. One row: whoever moves its time has the turn.
create table watches (
    only_one boolean primary key default true check (only_one),
    free_at timestamptz not null,
    looked_at timestamptz
);
insert into watches (free_at) values ('-infinity');

-- When the books were read last, by whichever process, and how many disagreements they had.
create table ledger_checks (
    only_one boolean primary key default true check (only_one),
    checked_at timestamptz not null,
    violations integer not null check (violations >= 0)
);

-- Money that was taken elsewhere and could not be credited; a row goes when it was credited after all.
create table payments_unmatched (
    provider text not null check (length(provider) between 1 and 40),
    provider_id text not null check (length(provider_id) between 1 and 300),
    user_id uuid not null references users,
    reason text not null check (length(reason) <= 500),
    seen_at timestamptz not null default now(),
    primary key (provider, provider_id, user_id)
);

grant select, insert, delete on payments_unmatched to tessera_app;
grant select, insert, update, delete on incidents to tessera_app;
grant select, insert, update, delete on incident_messages to tessera_app;
grant select, update on watches to tessera_app;
grant select, insert, update on ledger_checks to tessera_app;

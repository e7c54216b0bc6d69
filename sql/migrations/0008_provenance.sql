-- Orders that were placed together, what is needed to make a result again, and whether files may say it.

-- Orders that were placed together, in the order in which they came. Whose a batch is its jobs say, so nothing of it has
-- to move when two users become one.
create table batches (
    id uuid primary key default uuid7(),
    job_ids uuid[] not null check (cardinality(job_ids) between 1 and 100),
    created_at timestamptz not null default now()
);

-- What the files of an attempt were made with, as its agent reports it with the completion; it is seen when the job has
-- succeeded in this very attempt. No foreign key: the statement that writes it has looked the job up.
create table provenance (
    job_id uuid not null,
    attempt integer not null check (attempt > 0),
    made jsonb not null check (jsonb_typeof(made) = 'object'),
    primary key (job_id, attempt)
);

-- What an order gets that does not say whether its files may tell how they were made.
alter table users add column embed_metadata boolean not null default true;

grant select on batches, provenance to tessera_app;
grant insert on batches, provenance to tessera_app;

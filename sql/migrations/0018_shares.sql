-- Results that their owners show to whoever has the link.

-- The link of a job. Its token is kept as it is, so that its owner sees the link again; it opens no more than the files and
-- words of this one job, and nothing any more when the row is gone.
create table shares (
    job_id uuid primary key references jobs,
    token text not null unique check (token ~ '^[A-Za-z0-9_-]{43}$'),
    created_at timestamptz not null default now()
);

grant select, insert, delete on shares to tessera_app;

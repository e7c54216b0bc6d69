-- The first run: what an operator has put off on the way through the setup, and the machine that it waits for. And people
-- who have proved who they are and still need an invite.

-- One row. Whether a step is done is seen from what is there; only what no fact tells stands here. `token_id`: the
-- enrolment token that was made last on the way, hence the machine that is waited for. `picture_job_id`: the first picture;
-- no reference, since jobs are forgotten some day. `closed_at`: it is not shown by itself any more.
create table setup (
    only_one boolean primary key default true check (only_one),
    put_off text[] not null default '{}' check (put_off <@ array['account', 'address', 'machine', 'bots', 'backup']),
    token_id text references enrolment_tokens,
    picture_job_id uuid,
    closed_at timestamptz
);
-- Who has had people before has no need of it.
insert into setup (closed_at) select case when exists (select from users) then now() end;

-- An identity that was proved in a browser and is nobody's yet, until its person enters an invite there. The browser is
-- known by a cookie that was drawn for this alone.
create table newcomers (
    browser_sha256 bytea primary key check (octet_length(browser_sha256) = 32),
    provider text not null check (provider in ('discord', 'google', 'telegram')),
    subject text not null check (length(subject) between 1 and 128),
    next text not null check (length(next) between 1 and 500),
    expires_at timestamptz not null
);
create index newcomers_expire on newcomers (expires_at);

grant select, update on setup to tessera_app;
grant select, insert, update, delete on newcomers to tessera_app;

-- The spine: people and their keys, models and lanes, jobs and their leases, workers, artifacts.
-- Laws are constraints here wherever they can be; the reasons stand in ARCHITECTURE.md.

-- A UUID of version 7 (RFC 9562) on the database's clock: ids sort by time of birth, so pages stay local and
-- job_id can be the partition key of everything that belongs to a job.
create function uuid7() returns uuid
    language sql volatile parallel safe
    set search_path = pg_catalog
    return encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid;

-- The smallest such id of an instant: the border of a partition.
create function uuid7_floor(instant timestamptz) returns uuid
    language sql immutable parallel safe
    set search_path = pg_catalog
    return encode(
        substring(int8send((extract(epoch from instant) * 1000)::bigint) from 3)
        || '\x70008000000000000000'::bytea, 'hex')::uuid;

------------------------------------------------------------------------------------------- people

create table plans (
    name text primary key check (name ~ '^[a-z][a-z0-9_-]{0,31}$'),
    weight double precision not null default 1 check (weight > 0),
    queued_max integer not null check (queued_max > 0),
    retention_days integer not null check (retention_days > 0)
);

insert into plans (name, weight, queued_max, retention_days)
values ('free', 1, 10000, 7), ('starter', 1, 10000, 30), ('pro', 1, 10000, 180);

create table users (
    id uuid primary key default uuid7(),
    name text not null check (length(name) between 1 and 128),
    plan text not null default 'free' references plans,
    status text not null default 'active' check (status in ('active', 'suspended', 'deleted')),
    time_zone text not null default 'UTC',
    created_at timestamptz not null default now()
);
create unique index users_name on users (name);

-- One way of being recognised. A user has any number of them; nobody is linked by e-mail.
create table identities (
    provider text not null check (provider ~ '^[a-z]{1,32}$'),
    subject text not null check (length(subject) between 1 and 128),
    user_id uuid not null references users,
    created_at timestamptz not null default now(),
    primary key (provider, subject)
);
create index identities_user on identities (user_id);

-- Bearer credentials. A key of a user acts for that user; a service credential has no user, acts for the
-- identities of its providers only, and is never an administrator.
create table api_keys (
    id text primary key check (id ~ '^[0-9a-z]{12}$'),
    secret_sha256 bytea not null check (octet_length(secret_sha256) = 32),
    user_id uuid references users,
    name text not null check (length(name) between 1 and 64),
    scopes text[] not null check (scopes <@ array['read', 'submit', 'admin', 'metrics']),
    providers text[] not null default '{}',
    daily_cap integer check (daily_cap > 0),
    models text[],
    networks cidr[],
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint key_of_user_or_service check ((user_id is null) = (cardinality(providers) > 0)),
    constraint service_is_no_admin check (user_id is not null or not 'admin' = any (scopes))
);
create index api_keys_user on api_keys (user_id);

-- Keys that sign artifact addresses; the newest signs, all of them verify.
create table signing_keys (
    id integer generated always as identity primary key,
    key bytea not null check (octet_length(key) = 32),
    created_at timestamptz not null default now()
);

create table switches (
    name text primary key check (name in ('submits')),
    paused_at timestamptz,
    reason text not null default ''
);
insert into switches (name) values ('submits');

------------------------------------------------------------------------------------------- models and lanes

create table models (
    name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    kind text not null check (kind in ('image', 'video')),
    title text not null,
    position integer not null,
    vram_gib integer not null default 0 check (vram_gib >= 0),
    weight double precision not null default 1 check (weight > 0),
    width integer not null,
    height integer not null,
    pixels_max integer not null,
    steps integer not null,
    steps_max integer not null,
    guidance double precision not null,
    frames integer,
    frames_max integer,
    fps integer,
    paused_at timestamptz,
    primary key (name, kind),
    constraint video_has_frames check ((kind = 'video') = (frames is not null and frames_max is not null and fps is not null))
);

insert into models (name, kind, title, position, width, height, pixels_max, steps, steps_max, guidance, frames, frames_max, fps)
values ('testcard', 'image', 'Test card picture', 1000, 1024, 1024, 4194304, 20, 150, 7, null, null, null),
       ('testcard', 'video', 'Test card video', 1000, 640, 384, 1048576, 20, 150, 7, 48, 240, 24);

-- Where jobs that the same workers can run wait in one line. `clock` only rises (the largest tag claimed) and
-- serves tagging; `bound` is a hint for where a scan may start and may fall; `tag_offset` makes lanes comparable.
-- Processes keep all three in memory and write them down about once a second.
create table lanes (
    id integer generated always as identity primary key,
    kind text not null,
    model text not null,
    vram_gib integer not null,
    clock double precision not null default 0,
    bound double precision not null default '-infinity',
    tag_offset double precision not null default 0,
    run_tokens real[] not null default '{}', -- of recent runs, the newest first; and in the same order:
    run_seconds real[] not null default '{}',
    paused_at timestamptz,
    unique (kind, model, vram_gib),
    foreign key (model, kind) references models (name, kind)
) with (fillfactor = 50);

insert into lanes (kind, model, vram_gib) select kind, name, vram_gib from models;

------------------------------------------------------------------------------------------- workers

create table workers (
    id uuid primary key default uuid7(),
    name text not null check (length(name) between 1 and 64),
    secret_sha256 bytea not null unique check (octet_length(secret_sha256) = 32),
    trust text not null default 'own' check (trust in ('own', 'guest')),
    agent_version text not null default '',
    enrolled_at timestamptz not null default now(),
    last_seen_at timestamptz,
    draining boolean not null default false,
    drain_requested_at timestamptz,
    revoked_at timestamptz
) with (fillfactor = 70);

-- One-time. The same token with the same hash within its hour gives the same worker again, since the first
-- answer may have been lost; any other second use is refused.
create table enrolment_tokens (
    id text primary key check (id ~ '^[0-9a-z]{12}$'),
    secret_sha256 bytea not null check (octet_length(secret_sha256) = 32),
    name text,
    trust text not null default 'own' check (trust in ('own', 'guest')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    worker_id uuid references workers,
    constraint used_means_worker check ((used_at is null) = (worker_id is null))
);

-- A slot has one engine. Lanes, loaded model, health and quarantine are the slot's, not the worker's.
create table slots (
    worker_id uuid not null references workers,
    slot smallint not null check (slot between 0 and 15),
    lane_ids integer[] not null default '{}',
    loaded_lane_id integer references lanes,
    vram_gib integer not null default 0,
    healthy boolean not null default true,
    gpu jsonb not null default '{}',
    failed_jobs uuid[] not null default '{}',
    quarantined_at timestamptz,
    last_seen_at timestamptz not null default now(),
    primary key (worker_id, slot)
) with (fillfactor = 50);

------------------------------------------------------------------------------------------- jobs

-- Canonical truth, narrow and hot. `state = 'running'` means that a lease is live, whatever its phase; the public
-- calls a job running once its lease has started. Nothing that a heartbeat changes is indexed (HOT updates).
create table jobs (
    id uuid primary key,
    user_id uuid not null references users,
    lane_id integer not null, -- of a row in lanes, which admission joins; a foreign key would lock it for each order
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'failed', 'canceled', 'expired')),
    tag double precision,
    head_start double precision not null default 0 check (head_start >= 0),
    cost integer not null check (cost > 0),
    attempt integer not null default 0 check (attempt >= 0),
    failures smallint not null default 0 check (failures >= 0),
    losses smallint not null default 0 check (losses >= 0),
    lost_by uuid,
    worker_id uuid, -- of a row in workers: every statement that leases joins it, and workers are revoked, never deleted
    slot smallint,
    claim_id uuid,
    lease_token uuid,
    phase text check (phase in ('offered', 'held', 'started')),
    lease_expires_at timestamptz,
    created_at timestamptz not null default now(),
    due_at timestamptz,
    start_by timestamptz,
    started_at timestamptz,
    cancel_requested_at timestamptz,
    finished_at timestamptz,
    error_code text,
    policy_version integer not null default 1,
    prompt_rendered text,
    constraint lease_is_whole check (
        num_nonnulls(worker_id, slot, claim_id, lease_token, phase, lease_expires_at)
            = case state when 'running' then 6 else 0 end),
    constraint lease_has_attempt check (state <> 'running' or attempt > 0),
    constraint finished_once check ((finished_at is not null) = (state in ('succeeded', 'failed', 'canceled', 'expired'))),
    constraint backoff_has_no_tag check (state <> 'queued' or (tag is null) = (due_at is not null)),
    constraint failure_says_why check ((error_code is not null) = (state in ('failed', 'expired')))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

create index jobs_ready on jobs (lane_id, tag, id) where state = 'queued' and tag is not null;
create index jobs_user_queued on jobs (user_id, lane_id, tag) where state = 'queued';
create unique index jobs_leased on jobs (worker_id, claim_id, slot) where state = 'running';
create index jobs_user on jobs (user_id, id desc);
create index jobs_backoff on jobs (due_at) where state = 'queued' and due_at is not null;
create index jobs_start_by on jobs (start_by) where state = 'queued' and start_by is not null;

-- The wide half of a job, written once, by the statement that inserts the job.
create table job_specs (
    job_id uuid primary key,
    spec jsonb not null,
    metadata jsonb not null default '{}'
);

-- One row per lease, append-only but for its end. Partitioned by the month in which the job was born: the id
-- carries the time, so the unique indexes that state the laws can still be about the job alone. Each is written by the
-- statement that leases its job to its worker, which are there for that reason: foreign keys would look both up again.
create table attempts (
    job_id uuid not null,
    number integer not null check (number > 0),
    worker_id uuid not null,
    slot smallint not null,
    claim_id uuid not null,
    lease_token uuid not null,
    offered_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    outcome text check (outcome in ('succeeded', 'failed', 'canceled', 'released', 'lost', 'taken_over')),
    cause text,
    message text,
    primary key (job_id, number),
    constraint ended_means_outcome check ((ended_at is null) = (outcome is null))
) partition by range (job_id);
create unique index attempts_one_live on attempts (job_id) where ended_at is null;
create unique index attempts_one_success on attempts (job_id) where outcome = 'succeeded';
create table attempts_default partition of attempts default;

create sequence job_events_seq;

-- State changes only; progress and previews are last values, not history. Each is written by the statement that changes
-- its job, which is there for that reason: a foreign key would look it up once more at each step of every job.
create table job_events (
    job_id uuid not null,
    seq bigint not null default nextval('job_events_seq'),
    name text not null check (name ~ '^job\.[a-z_]+$'),
    attempt integer not null,
    at timestamptz not null default now(),
    primary key (job_id, seq)
) partition by range (job_id);
create table job_events_default partition of job_events default;

-- The last progress and preview of each running job, shared between processes. Unlogged: it may be lost in a crash.
create unlogged table job_progress (
    job_id uuid primary key,
    attempt integer not null,
    value real not null,
    step integer not null,
    steps integer not null,
    preview bytea check (octet_length(preview) <= 65536),
    reported_at timestamptz not null default now()
) with (fillfactor = 50);

create table idempotency_keys (
    user_id uuid not null references users,
    key text not null check (length(key) between 1 and 255),
    request_sha256 bytea not null check (octet_length(request_sha256) = 32),
    job_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (user_id, key)
);

-- A file, verified. It is visible when its job has succeeded in this very attempt, so nothing of a stale
-- attempt ever shows; every other row is swept.
create table artifacts (
    job_id uuid not null references jobs,
    attempt integer not null check (attempt > 0),
    index smallint not null check (index between 0 and 63),
    key text not null unique check (length(key) between 1 and 200),
    mime_type text not null,
    width integer not null check (width > 0),
    height integer not null check (height > 0),
    bytes bigint not null check (bytes > 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    visibility text not null default 'private' check (visibility in ('private', 'shared', 'published', 'quarantined')),
    legal_hold boolean not null default false,
    created_at timestamptz not null default now(),
    primary key (job_id, attempt, index)
);
create index artifacts_created on artifacts (created_at);

------------------------------------------------------------------------------------------- partitions and rights

-- Makes the partitions of this month and of `ahead` months more. Runs with the owner's rights, because the
-- application's role may not create anything. What the foreign keys refer to is locked first; should there be a
-- deadlock all the same, it ends here and not in a customer's request, because this gives up sooner than PostgreSQL
-- looks for one (deadlock_timeout, 1 s) and is tried again a minute later.
create function ensure_partitions(ahead integer) returns void
    language plpgsql security definer
    set search_path = public, pg_temp
    set lock_timeout = '500ms'
as $$
declare
    missing record;
begin
    for missing in
        select parent, parent || to_char(first at time zone 'UTC', '_YYYY_MM') as name, first
        from unnest(array['attempts', 'job_events']) as parent,
            generate_series(0, least(ahead, 24)) as k,
            lateral (select date_trunc('month', now(), 'UTC') + make_interval(months => k) as first) as month
        where to_regclass(parent || to_char(first at time zone 'UTC', '_YYYY_MM')) is null
        order by first, parent
    loop
        lock table jobs in share row exclusive mode;
        execute format('create table %I partition of %I for values from (%L) to (%L)',
            missing.name, missing.parent, uuid7_floor(missing.first), uuid7_floor(missing.first + interval '1 month'));
    end loop;
end
$$;

grant usage on schema public to tessera_app;
grant select on all tables in schema public to tessera_app;
grant insert, update on users, identities, api_keys, signing_keys, switches, models, lanes, workers, enrolment_tokens,
    slots, jobs, attempts, job_progress, artifacts to tessera_app;
grant insert on job_specs, job_events, idempotency_keys to tessera_app;
grant update (spec, metadata) on job_specs to tessera_app; -- to erase what a person typed, nothing else
grant update (job_id) on idempotency_keys to tessera_app; -- nothing is ever updated: the sweep locks what it deletes
grant delete on job_progress, idempotency_keys, artifacts to tessera_app;
grant usage on sequence job_events_seq to tessera_app;
revoke execute on function ensure_partitions(integer) from public;
grant execute on function ensure_partitions(integer) to tessera_app;

-- Webhooks: where users want to be told what became of their jobs, and every message on its way there. `job_events` is
-- the outbox; a relay walks behind it and writes deliveries, so nothing of this stands in the way of a job.

-- An address of a user. The one without a url (each user has at most one) signs what goes to the `webhook_url` of
-- orders. `failing_since`: of the first failure since the last success.
create table webhook_endpoints (
    id uuid primary key default uuid7(),
    user_id uuid not null references users,
    url text check (length(url) between 1 and 1000),
    events text[] not null check (cardinality(events) > 0 and events <@ array[
        'job.started', 'job.succeeded', 'job.failed', 'job.canceled', 'job.expired']),
    description text not null default '' check (length(description) <= 200),
    created_at timestamptz not null default now(),
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text check (disabled_reason in ('owner', 'gone', 'failing')),
    constraint disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null)),
    constraint orders_are_not_disabled check (url is not null or disabled_at is null)
);
create index webhook_endpoints_user on webhook_endpoints (user_id, id);
create unique index webhook_endpoints_of_orders on webhook_endpoints (user_id) where url is null;
create index webhook_endpoints_wanted on webhook_endpoints (id) where disabled_at is null;

-- What messages are signed with; all that have not expired sign. They lie here as they are, because they must be read to
-- sign: a key beside the database that hides them would have to go into every backup that is to be of use, and whoever
-- reads this table can write to the jobs themselves.
create table webhook_secrets (
    endpoint_id uuid not null references webhook_endpoints on delete cascade,
    secret bytea not null check (octet_length(secret) between 24 and 64),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    primary key (endpoint_id, secret)
);

-- A message to one address: its id is the `webhook-id`, whatever the attempt. `step` is the place in the schedule of
-- retries, `attempts` counts them all. While it is being sent it has a lease and is due again when that ends.
create table webhook_deliveries (
    id uuid primary key default uuid7(),
    endpoint_id uuid not null references webhook_endpoints on delete cascade,
    job_id uuid references jobs,
    event_seq bigint,
    type text not null check (type ~ '^(job|webhook)\.[a-z_]+$'),
    url text not null check (length(url) between 1 and 1000),
    host text not null generated always as (coalesce(lower(substring(url from '^https?://([^/?#]+)')), '')) stored,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
    attempts integer not null default 0 check (attempts >= 0),
    step smallint not null default 0 check (step >= 0),
    next_attempt_at timestamptz default now(),
    lease uuid,
    leased_until timestamptz,
    last_attempt_at timestamptz,
    last_status integer,
    last_error text check (length(last_error) <= 40),
    last_excerpt text check (length(last_excerpt) <= 300),
    last_seconds real,
    delivered_at timestamptz,
    event_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    constraint pending_is_due check ((state = 'pending') = (next_attempt_at is not null)),
    constraint lease_is_whole check ((lease is null) = (leased_until is null)),
    constraint only_pending_is_leased check (lease is null or state = 'pending'),
    constraint delivered_once check ((state = 'delivered') = (delivered_at is not null)),
    constraint message_once unique (endpoint_id, event_seq)
) with (fillfactor = 80);
create index webhook_deliveries_log on webhook_deliveries (endpoint_id, id desc);
create index webhook_deliveries_line on webhook_deliveries (endpoint_id, host, next_attempt_at) where state = 'pending';
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where state = 'pending';
create index webhook_deliveries_leased on webhook_deliveries (leased_until) where leased_until is not null;
create index webhook_deliveries_created on webhook_deliveries (created_at) where state <> 'pending';

-- How far the relay has read the log: a position of `0005_events.sql`. One row.
create table webhook_cursor (
    one boolean primary key default true check (one),
    epoch text not null,
    xid xid8 not null,
    seq bigint not null,
    moved_at timestamptz not null default now()
) with (fillfactor = 50);
insert into webhook_cursor (epoch, xid, seq)
select token, pg_current_xact_id(), 0 from event_epochs order by number desc limit 1;

-- Where to tell of this very job. The spec beside it goes to an agent, this does not.
alter table job_specs add column webhook_url text;

-- What a user wanted to be told goes over when the user becomes part of another. Two endpoints for orders become one
-- that signs with the secrets of both, for a day.
create function move_webhooks() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
declare
    gone uuid := (select id from webhook_endpoints where user_id = new.id and url is null);
    kept uuid := (select id from webhook_endpoints where user_id = new.merged_into and url is null);
begin
    if gone is not null and kept is not null then
        insert into webhook_secrets (endpoint_id, secret, created_at, expires_at)
        select kept, secret, created_at, least(coalesce(expires_at, 'infinity'), now() + interval '1 day')
        from webhook_secrets where endpoint_id = gone
        on conflict do nothing;
        update webhook_deliveries set endpoint_id = kept where endpoint_id = gone;
        delete from webhook_endpoints where id = gone;
    end if;
    update webhook_endpoints set user_id = new.merged_into where user_id = new.id;
    return null;
end
$$;
create trigger users_move_webhooks after update of merged_into on users
    for each row when (new.merged_into is distinct from old.merged_into) execute function move_webhooks();

grant select, insert, update, delete on webhook_endpoints, webhook_secrets, webhook_deliveries to tessera_app;
grant select, update on webhook_cursor to tessera_app;
grant update (webhook_url) on job_specs to tessera_app;
revoke execute on function move_webhooks() from public;

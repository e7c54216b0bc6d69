-- The sandbox: test keys, the users in whose name they order, and who draws for them. And what an API key can be besides:
-- rotated, capped, used from a browser.

------------------------------------------------------------------------------------------- test users

-- A user's test keys order in the name of a twin, a user with the same id but for the version: 8 instead of 7, whose
-- meaning RFC 9562 leaves to us. So whether a user is a test user is told by the id alone, in every table, without a look.
create function is_test(user_id uuid) returns boolean
    language sql immutable parallel safe
    return get_byte(uuid_send(user_id), 6) >> 4 = 8;

create function twin_of(user_id uuid) returns uuid
    language sql immutable parallel safe
    return overlay(user_id::text placing '8' from 15 for 1)::uuid;

-- A twin has no identities, enters no invite and is never merged: play money stays apart from real money.
alter table users
    add column test_of uuid unique references users,
    add constraint test_users_have_their_id check (id = twin_of(test_of)),
    add constraint test_users_are_of_somebody check (is_test(id) = (test_of is not null)),
    add constraint test_users_stay check (merged_into is null or not (is_test(id) or is_test(merged_into)));
alter table identities add constraint identities_are_live check (not is_test(user_id));
alter table link_codes add constraint link_codes_are_live check (not is_test(user_id));
alter table invite_uses add constraint invite_uses_are_live check (not is_test(user_id));

-- The plan of test users, which nobody else can have.
alter table plans add column hidden boolean not null default false;
insert into plans (name, hidden, weight, queued_max, retention_days, tokens_per_day, running_max, submits_per_minute,
    reads_per_minute, pixels_max, video_seconds_max)
values ('test', true, 1, 100, 7, 100000, 10, 300, 6000, 2147483647, 30);

------------------------------------------------------------------------------------------- who draws

-- What test keys order waits in lanes of its own, made on first sight. No agent is ever given these lanes; the control
-- planes serve them themselves, as one worker whose credential nobody has.
alter table lanes
    add column sandbox boolean not null default false,
    drop constraint lanes_kind_model_vram_gib_key,
    add unique (kind, model, vram_gib, sandbox);

alter table workers drop constraint workers_trust_check,
    add constraint workers_trust_check check (trust in ('own', 'guest', 'sandbox'));
create unique index workers_sandbox on workers (trust) where trust = 'sandbox';
insert into workers (name, secret_sha256, trust)
values ('sandbox', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'sandbox');

------------------------------------------------------------------------------------------- keys

-- `keys` is the right to make, rotate and end keys. The secret before the last rotation opens until `old_expires_at`.
-- `origins` are the web sites whose pages may use the key.
alter table api_keys
    drop constraint api_keys_scopes_check,
    add constraint api_keys_scopes_check check (scopes <@ array['read', 'submit', 'keys', 'admin', 'metrics']),
    add column origins text[] check (cardinality(origins) between 1 and 20),
    add column rotated_at timestamptz,
    add column old_secret_sha256 bytea check (octet_length(old_secret_sha256) = 32),
    add column old_expires_at timestamptz,
    add column old_used_at timestamptz,
    add constraint old_secret_ends check (num_nonnulls(old_secret_sha256, old_expires_at) in (0, 2)),
    add constraint test_is_no_admin check (not is_test(user_id) or not scopes && array['admin', 'metrics']);
create index api_keys_origins on api_keys using gin (origins) where revoked_at is null;

-- What a key with a daily cap has ordered on its last day (UTC), returned or not. Other keys have no row.
create table key_spending (
    key_id text primary key references api_keys,
    day date not null,
    tokens bigint not null check (tokens >= 0)
) with (fillfactor = 70);

------------------------------------------------------------------------------------------- rights

grant select, insert, update on key_spending to tessera_app;

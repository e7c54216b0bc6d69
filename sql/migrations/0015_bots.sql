-- Bots as customers: payments made elsewhere, rules of chats in which several people order, what people have chosen, and
-- operators who act through a bot.

------------------------------------------------------------------------------------------- payments

-- Tokens that can be bought at once, in Telegram Stars or in money.
create table packs (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    tokens integer not null check (tokens > 0),
    stars integer not null check (stars > 0),
    price_cents integer not null check (price_cents > 0),
    currency text not null default 'EUR' check (currency ~ '^[A-Z]{3}$'),
    hidden boolean not null default false -- not offered any more; what was paid for it is still credited
);
insert into packs (name, tokens, stars, price_cents) values
    ('small', 500, 150, 300), ('medium', 2000, 500, 1000), ('large', 6000, 1250, 2500);

-- A payment that some provider took. Its id is credited once, whoever tells it and however often; the tokens stand in the
-- ledger as a grant, and after a refund as a correction.
create table payments (
    id uuid primary key default uuid7(),
    user_id uuid not null references users,
    provider text not null check (provider ~ '^[a-z_]{1,32}$'),
    provider_id text not null check (length(provider_id) between 1 and 200),
    pack text not null references packs,
    amount bigint not null check (amount > 0), -- Stars, or hundredths of the currency
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    tokens bigint not null check (tokens >= 0),
    state text not null default 'credited' check (state in ('credited', 'refunded')),
    place text not null default '' check (length(place) <= 64),
    payer text check (length(payer) <= 128),
    created_at timestamptz not null default now(),
    refunded_at timestamptz,
    constraint refunded_at_some_time check ((state = 'refunded') = (refunded_at is not null))
);
create unique index payments_provider_id on payments (provider, provider_id);
create index payments_user on payments (user_id, id desc);

------------------------------------------------------------------------------------------- chats

-- What the administrators of a group or server allow there; without a row what `ChatRules` has by default.
create table chats (
    provider text not null check (provider ~ '^[a-z]{1,32}$'),
    subject text not null check (length(subject) between 1 and 128),
    rules jsonb not null,
    changed_by uuid not null references users,
    changed_at timestamptz not null default now(),
    primary key (provider, subject)
);

-- What was ordered in chats with a cap, by the Idempotency-Key of the order; of days that are over nothing is kept.
create table chat_orders (
    provider text not null,
    subject text not null,
    key text not null check (length(key) <= 255),
    day date not null,
    tokens integer not null check (tokens >= 0),
    primary key (provider, subject, key)
);

------------------------------------------------------------------------------------------- choices and operators

-- What somebody has chosen for orders that do not say otherwise, and how they want to be spoken to.
alter table users add column choices jsonb not null default '{}';

-- `payments` is the right to credit what people have paid, `operate` to act for a person who is an operator themselves,
-- that is, who owns a live key with the scope `admin`.
alter table api_keys
    drop constraint api_keys_scopes_check,
    add constraint api_keys_scopes_check
        check (scopes <@ array['read', 'submit', 'keys', 'admin', 'metrics', 'payments', 'operate']),
    drop constraint test_is_no_admin,
    add constraint test_is_no_admin
        check (not is_test(user_id) or not scopes && array['admin', 'metrics', 'payments', 'operate']);

grant select on packs to tessera_app;
grant insert, update on packs to tessera_app;
grant select, insert, update on payments, chats to tessera_app;
grant select, insert, update, delete on chat_orders to tessera_app;

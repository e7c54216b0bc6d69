-- People in browsers: sessions, links that sign somebody in once, and sign-ins that are on their way.

-- A browser that is signed in. Its cookie is kept as SHA-256 only. The row stays its user's who has been merged; they are
-- looked for through whom they have become.
create table sessions (
    id uuid primary key default uuid7(),
    user_id uuid not null references users,
    secret_sha256 bytea not null unique check (octet_length(secret_sha256) = 32),
    way text not null check (way in ('code', 'discord', 'google', 'link', 'telegram')),
    device text not null default '' check (length(device) <= 120),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    last_used_at timestamptz not null default now()
);
create index sessions_user on sessions (user_id);
create index sessions_expire on sessions (expires_at);

-- A link that the operator made; one for a user at a time, used up by the button on its page.
create table login_links (
    user_id uuid primary key references users,
    token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
    expires_at timestamptz not null
);

-- A browser that has been sent to a provider and is to come back with this state. `for_user`: who wants the identity added
-- to their account.
create table sign_ins (
    state_sha256 bytea primary key check (octet_length(state_sha256) = 32),
    browser_sha256 bytea not null check (octet_length(browser_sha256) = 32),
    provider text not null check (provider in ('discord', 'google', 'telegram')),
    verifier text not null check (length(verifier) between 43 and 128),
    nonce text not null check (length(nonce) between 1 and 128),
    next text not null check (length(next) between 1 and 500),
    for_user uuid references users,
    expires_at timestamptz not null
);
create index sign_ins_expire on sign_ins (expires_at);

-- Proofs of Telegram that have been shown here once.
create table spent_proofs (
    proof_sha256 bytea primary key check (octet_length(proof_sha256) = 32),
    expires_at timestamptz not null
);
create index spent_proofs_expire on spent_proofs (expires_at);

alter table guesses
    drop constraint guesses_kind_check,
    add constraint guesses_kind_check check (kind in ('link_code', 'link', 'invite', 'sign_in', 'login_code', 'login_link'));

grant select, insert, update, delete on sessions, login_links, sign_ins, spent_proofs to tessera_app;

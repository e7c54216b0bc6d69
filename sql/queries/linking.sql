-- Linking: two identities of one person become one user, and part again.

-- add_code :one
-- Gives a user a new link code in place of the last one, when the account may have one.
with made as (
    insert into link_codes (user_id, code_sha256, expires_at)
    select u.id, %(code_sha256)s::bytea, now() + make_interval(secs => %(seconds)s::float8)
    from users u where u.id = %(user_id)s::uuid and u.status = 'active'
    on conflict (user_id) do update set code_sha256 = excluded.code_sha256, expires_at = excluded.expires_at
    returning expires_at
)
select u.status, made.expires_at from users u left join made on true where u.id = %(user_id)s::uuid;

-- one_at_a_time :run
-- Merges wait for each other from here to the end of the transaction, so none sees another half done.
select pg_advisory_xact_lock(hashtext('merge_users'));

-- take_code :value
-- Uses a live code up and tells whose it was, or whose that user has become.
with taken as (
    delete from link_codes where code_sha256 = %(code_sha256)s::bytea and expires_at > now() returning user_id
)
select coalesce(u.merged_into, u.id) from taken join users u on u.id = taken.user_id;

-- merge :one
-- Makes two users one; see `merge_users` in 0004_people.sql.
select m.survivor, m.gone, m.refusal from merge_users(%(one)s::uuid, %(other)s::uuid) m;

-- attach :value
-- Gives a user an identity that is nobody's; no row when it has become somebody's.
with forgotten as (
    delete from unlinked_identities where provider = %(provider)s::text and subject = %(subject)s::text
)
insert into identities (provider, subject, user_id)
select %(provider)s::text, %(subject)s::text, u.id from users u where u.id = %(user_id)s::uuid and u.status = 'active'
on conflict (provider, subject) do nothing
returning user_id;

-- lock_user :value
-- What an account is, held still.
select u.status from users u where u.id = %(user_id)s::uuid for no key update;

-- identities :many
-- The identities of a user.
select i.provider, i.subject from identities i where i.user_id = %(user_id)s::uuid order by i.provider, i.subject;

-- detach :run
-- Takes an identity from its user and remembers when.
with gone as (
    delete from identities
    where provider = %(provider)s::text and subject = %(subject)s::text and user_id = %(user_id)s::uuid
    returning provider, subject
)
insert into unlinked_identities (provider, subject)
select provider, subject from gone
on conflict (provider, subject) do update set unlinked_at = now();

-- free_name :run
-- A name that was made of an identity is free again for whoever comes by it.
update users set name = 'user:' || id where name = %(identity)s::text;

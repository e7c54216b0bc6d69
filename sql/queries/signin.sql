-- Sign-ins that are on their way to a provider and back.

-- add :run
-- Remembers a browser that is about to leave.
insert into sign_ins (state_sha256, browser_sha256, provider, verifier, nonce, next, for_user, expires_at)
values (%(state_sha256)s::bytea, %(browser_sha256)s::bytea, %(provider)s::text, %(verifier)s::text, %(nonce)s::text,
    %(next)s::text, %(for_user)s::uuid, now() + make_interval(secs => %(seconds)s::float8));

-- take :one
-- What is known of a browser that comes back; once, in that browser, from that provider.
with taken as (
    delete from sign_ins
    where state_sha256 = %(state_sha256)s::bytea and browser_sha256 = %(browser_sha256)s::bytea
        and provider = %(provider)s::text and expires_at > now()
    returning verifier, nonce, next, for_user
)
select t.verifier, t.nonce, t.next, coalesce(u.merged_into, u.id) as for_user
from taken t left join users u on u.id = t.for_user;

-- spend_proof :value
-- Uses up a proof that is fresh; no row when it is too old, from the future, or was used.
insert into spent_proofs (proof_sha256, expires_at)
select %(proof_sha256)s::bytea, to_timestamp(%(auth_date)s::float8) + make_interval(secs => %(seconds)s::float8)
where to_timestamp(%(auth_date)s::float8) > now() - make_interval(secs => %(seconds)s::float8)
    and to_timestamp(%(auth_date)s::float8) < now() + make_interval(secs => %(drift_seconds)s::float8)
on conflict (proof_sha256) do nothing
returning proof_sha256;

-- sweep :run
-- Sign-ins from which nobody came back.
delete from sign_ins where state_sha256 in (
    select s.state_sha256 from sign_ins s where s.expires_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

-- sweep_proofs :run
-- Proofs that are too old to be shown again.
delete from spent_proofs where proof_sha256 in (
    select p.proof_sha256 from spent_proofs p where p.expires_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

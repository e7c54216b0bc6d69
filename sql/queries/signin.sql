-- Sign-ins that are on their way to a provider and back.

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

-- Care for what people leave with us: what is older than a plan keeps it goes, and so does whoever leaves. The laws are in
-- the functions of `0021_care.sql`.

-- due :many
-- Users with jobs that are older than their plan keeps them and were not looked at, and up to when. `ahead`: as it will be
-- then.
select u.id as user_id, now() + make_interval(secs => %(ahead_seconds)s::float8) - make_interval(days => p.retention_days) as before
from users u
join plans p on p.name = u.plan
left join retirements r on r.user_id = u.id
where u.status in ('active', 'suspended') and exists (
    select from jobs j
    where j.user_id = u.id and j.id > coalesce(r.up_to, '00000000-0000-0000-0000-000000000000')
        and j.id < uuid7_floor(now() + make_interval(secs => %(ahead_seconds)s::float8)
            - make_interval(days => p.retention_days)))
order by u.id;

-- retire :one
-- Takes the details of the next jobs of a user.
select r.seen, coalesce(r.keys, '{}') as keys
from retire_user(%(user_id)s::uuid, %(before)s::timestamptz, %(most)s::integer) r;

-- retire_withheld :one
-- Of those that had to be kept, what need not be any more.
select r.seen, coalesce(r.keys, '{}') as keys
from retire_withheld(make_interval(secs => %(ahead_seconds)s::float8), %(most)s::integer) r;

-- depart :value
-- Somebody leaves; null, or why not.
select d.refusal from depart(%(user_id)s::uuid) d;

-- household :many
-- A user, all who became part of them, and the users in whose names their test keys order.
select unnest(household(%(user_id)s::uuid)) as id;

-- tomorrow :value
-- An instant before which everything happened that has happened.
select now() + interval '1 day';

-- departures :many
-- Who has left and still has something here, who left first.
select d.user_id from departures d where d.finished_at is null order by d.asked_at limit %(most)s::integer;

-- finish_departure :one
-- The last of somebody who has left, if it may go.
select f.finished, coalesce(f.keys, '{}') as keys from finish_departure(%(user_id)s::uuid) f;

-- forget_guesses :run
-- What somebody tried in a period that has long been over; a guesser may be an address.
delete from guesses where (kind, guesser) in (
    select g.kind, g.guesser from guesses g
    where g.since < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

-- forget_identities :run
-- Identities that may open a new account again.
delete from unlinked_identities where (provider, subject) in (
    select u.provider, u.subject from unlinked_identities u
    where u.unlinked_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

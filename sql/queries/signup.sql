-- Sign-up: whether an identity seen for the first time becomes a user.

-- count :value
-- Counts one sign-up by a provider today; no row when the day is full. The row's lock lets sign-ups of a provider come
-- one after the other, so the limit is exact.
insert into sign_ups as s (provider, day, users) values (%(provider)s::text, utc_day(now()), 1)
on conflict (provider, day) do update set users = s.users + 1 where s.users < %(most)s::integer
returning users;

-- reopens_in :value
-- Seconds until midnight UTC.
select extract(epoch from (utc_day(now()) + 1)::timestamp at time zone 'UTC' - now())::float8;

-- unlinked_for :value
-- Seconds until an identity that was given up may become a user again.
select extract(epoch from u.unlinked_at + make_interval(days => %(days)s::integer) - now())::float8
from unlinked_identities u
where u.provider = %(provider)s::text
    and u.subject in (%(subject)s::text, identity_digest(%(provider)s::text, %(subject)s::text)) -- or of who has left
    and u.unlinked_at > now() - make_interval(days => %(days)s::integer)
order by u.unlinked_at desc limit 1;

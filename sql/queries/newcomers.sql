-- Newcomers: people who have proved who they are, and need an invite to stay.

-- add :run
-- Remembers who has been proved in a browser.
insert into newcomers (browser_sha256, provider, subject, next, expires_at)
values (%(browser_sha256)s::bytea, %(provider)s::text, %(subject)s::text, %(next)s::text,
    now() + make_interval(secs => %(seconds)s::float8));

-- find :one
-- Who was proved in this browser, while that holds.
select n.provider, n.subject, n.next
from newcomers n where n.browser_sha256 = %(browser_sha256)s::bytea and n.expires_at > now();

-- remove :run
-- Forgets who was proved in a browser.
delete from newcomers where browser_sha256 = %(browser_sha256)s::bytea;

-- sweep :run
-- Those who entered no invite.
delete from newcomers where browser_sha256 in (
    select n.browser_sha256 from newcomers n where n.expires_at < now() - make_interval(secs => %(age_seconds)s::float8)
    limit %(most)s::integer for update skip locked);

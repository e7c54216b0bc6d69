-- Invites: codes that let somebody sign up, or give a plan or tokens.

-- add :one
-- Makes an invite.
insert into invites (code_sha256, plan, tokens, uses, expires_at)
values (%(code_sha256)s::bytea, %(plan)s::text, %(tokens)s::integer, %(uses)s::integer,
    now() + make_interval(secs => %(expires_seconds)s::float8))
returning id, expires_at;

-- list :many
-- The invites, the newest first.
select i.id, i.plan, i.tokens, i.uses, i.used, i.created_at, i.expires_at, i.revoked_at,
    i.revoked_at is null and i.used < i.uses and (i.expires_at is null or i.expires_at > now()) as live
from invites i order by i.id desc limit 1000;

-- revoke :value
-- Ends an invite for good.
update invites set revoked_at = now() where id = %(id)s::integer and revoked_at is null returning id;

-- use :one
-- Takes one use of a live invite; its row's lock makes the count exact.
update invites set used = used + 1
where code_sha256 = %(code_sha256)s::bytea and revoked_at is null and used < uses
    and (expires_at is null or expires_at > now())
returning id, plan, tokens;

-- lock_user :value
-- What an account is, held still.
select u.status from users u where u.id = %(user_id)s::uuid for no key update;

-- note_use :value
-- Notes who took it; no row when they have, as this user or as one that was merged into them.
insert into invite_uses (invite_id, user_id)
select %(invite_id)s::integer, %(user_id)s::uuid
where not exists (select from invite_uses x join users u on u.id = x.user_id
    where x.invite_id = %(invite_id)s::integer and (u.id = %(user_id)s::uuid or u.merged_into = %(user_id)s::uuid))
returning user_id;

-- raise_plan :value
-- Puts a user on a better plan than the one they have now (more tokens a day, then more weight, then the higher price),
-- for as long as the operator does not change it.
update users set plan = given.name, paid_until = null
from user_plans mine join plans have on have.name = mine.plan, plans given
where users.id = %(user_id)s::uuid and mine.user_id = users.id and given.name = %(plan)s::text
    and (given.tokens_per_day, given.weight, given.price_cents) > (have.tokens_per_day, have.weight, have.price_cents)
returning users.id;

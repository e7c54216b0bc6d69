-- Payments: what can be bought, and what was bought elsewhere, credited exactly once.

-- packs :many
-- What is offered, the smallest first.
select p.name, p.tokens, p.stars, p.price_cents, p.currency from packs p where not p.hidden order by p.tokens, p.name;

-- pack :one
-- One of them, also one that is not offered any more.
select p.name, p.tokens, p.stars, p.price_cents, p.currency from packs p where p.name = %(name)s::text;

-- set_pack :value
-- Makes a pack, or changes it.
insert into packs (name, tokens, stars, price_cents, currency, hidden)
values (%(name)s::text, %(tokens)s::integer, %(stars)s::integer, %(price_cents)s::integer, %(currency)s::text,
    %(hidden)s::boolean)
on conflict (name) do update set tokens = excluded.tokens, stars = excluded.stars, price_cents = excluded.price_cents,
    currency = excluded.currency, hidden = excluded.hidden
returning name;

-- add :value
-- Writes a payment down; no row when its provider's id is known already.
insert into payments (user_id, provider, provider_id, pack, amount, currency, tokens, place, payer)
values (%(user_id)s::uuid, %(provider)s::text, %(provider_id)s::text, %(pack)s::text, %(amount)s::bigint,
    %(currency)s::text, %(tokens)s::bigint, %(place)s::text, %(payer)s::text)
on conflict (provider, provider_id) do nothing
returning id;

-- find :one
-- A payment by its provider's id, with the user that its payer has become.
select p.id, p.provider, p.provider_id, p.pack, p.amount, p.currency, p.tokens, p.state, p.place, p.payer, p.created_at,
    p.refunded_at, coalesce(u.merged_into, u.id) as user_id
from payments p join users u on u.id = p.user_id
where p.provider = %(provider)s::text and p.provider_id = %(provider_id)s::text;

-- refund :value
-- Marks a payment as given back; no row when it is already.
update payments set state = 'refunded', refunded_at = now()
where id = %(payment_id)s::uuid and state = 'credited'
returning id;

-- of_user :many
-- The payments of a user and of those who were merged into them, the newest first.
select p.id, p.provider, p.provider_id, p.pack, p.amount, p.currency, p.tokens, p.state, p.place, p.payer, p.created_at,
    p.refunded_at, %(user_id)s::uuid as user_id
from payments p
where p.user_id = any (array(select %(user_id)s::uuid union all select u.id from users u where u.merged_into = %(user_id)s::uuid))
order by p.id desc limit %(most)s::integer;

-- note_unmatched :run
-- Money was taken elsewhere and cannot be credited.
insert into payments_unmatched (provider, provider_id, user_id, reason)
values (%(provider)s::text, %(provider_id)s::text, %(user_id)s::uuid, %(reason)s::text)
on conflict (provider, provider_id, user_id) do nothing;

-- matched :run
-- It could be credited after all.
delete from payments_unmatched where provider = %(provider)s::text and provider_id = %(provider_id)s::text;

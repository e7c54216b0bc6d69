-- Chats in which several people order: their rules, and what was ordered there by a cap.

-- rules :value
-- The rules of a chat; no row where nobody has made any.
select c.rules from chats c where c.provider = %(provider)s::text and c.subject = %(subject)s::text;

-- set_rules :value
-- Makes or changes the rules of a chat.
insert into chats (provider, subject, rules, changed_by)
values (%(provider)s::text, %(subject)s::text, %(rules)s::jsonb, %(user_id)s::uuid)
on conflict (provider, subject) do update set rules = excluded.rules, changed_by = excluded.changed_by, changed_at = now()
returning provider;

-- ordered :value
-- What was ordered in a chat today, in tokens.
select coalesce(sum(o.tokens), 0)::bigint from chat_orders o
where o.provider = %(provider)s::text and o.subject = %(subject)s::text and o.day = utc_day(now());

-- hold_still :run
-- Orders of one chat are counted one after the other, to the end of the transaction.
select pg_advisory_xact_lock(hashtext('chat'), hashtext(%(provider)s::text || ':' || %(subject)s::text));

-- forget :run
-- Of days that are over nothing is kept.
delete from chat_orders o
where o.provider = %(provider)s::text and o.subject = %(subject)s::text and o.day < utc_day(now());

-- count :value
-- Counts an order once, if it fits below the cap; tells what was ordered before it, or nothing when it does not fit.
with before as materialized (
    select coalesce(sum(o.tokens) filter (where o.key <> %(key)s::text), 0)::bigint as tokens
    from chat_orders o where o.provider = %(provider)s::text and o.subject = %(subject)s::text
),
added as (
    insert into chat_orders (provider, subject, key, day, tokens)
    select %(provider)s::text, %(subject)s::text, %(key)s::text, utc_day(now()), %(tokens)s::integer
    from before where before.tokens + %(tokens)s::integer <= %(cap)s::bigint
    on conflict (provider, subject, key) do update set tokens = excluded.tokens
    returning key
)
select before.tokens from before join added on true;

-- give_back :run
-- An order that was not placed counts no more.
delete from chat_orders o
where o.provider = %(provider)s::text and o.subject = %(subject)s::text and o.key = %(key)s::text;

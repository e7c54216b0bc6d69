-- Codes that people type: how often somebody may try.

-- guess :one
-- Counts one try in the period that runs: for the guesser and, unless that was one too many already, for everybody
-- together ('' in the table, locked last).
with mine as (
    insert into guesses as g (kind, guesser, since, guesses)
    values (%(kind)s::text, %(guesser)s::text,
        date_bin(make_interval(secs => %(period_seconds)s::float8), now(), timestamptz 'epoch'), 1)
    on conflict (kind, guesser) do update set since = excluded.since,
        guesses = case when g.since = excluded.since then g.guesses + 1 else 1 end
    returning since, guesses
),
everybody as (
    insert into guesses as g (kind, guesser, since, guesses)
    select %(kind)s::text, '', mine.since, 1 from mine where mine.guesses <= %(most)s::integer
    on conflict (kind, guesser) do update set since = excluded.since,
        guesses = case when g.since = excluded.since then g.guesses + 1 else 1 end
    returning guesses
)
select mine.guesses <= %(most)s::integer and (select guesses from everybody) <= %(most_of_all)s::integer as allowed,
    extract(epoch from mine.since + make_interval(secs => %(period_seconds)s::float8) - now())::float8 as wait_seconds
from mine;

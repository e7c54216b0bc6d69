-- Files that nobody needs any more, from the moment their row is gone until the store has confirmed that they are.
-- The row goes in one transaction with the note here, the file after it: a store may be far away, and no transaction
-- waits for a network. Whoever is interrupted in between is made good for by the sweep.

create table discards (
    key text primary key check (length(key) between 1 and 200),
    discarded_at timestamptz not null default now()
);

grant select, insert, delete on discards to tessera_app;

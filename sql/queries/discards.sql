-- Discards: files whose rows are gone, to be taken out of the store.

-- due :many
-- The oldest of them. Two processes that take the same ones delete them twice, which is no error.
select key from discards order by discarded_at limit %(most)s::integer;

-- done :run
-- The store has them no more.
delete from discards where key = any (%(keys)s::text[]);

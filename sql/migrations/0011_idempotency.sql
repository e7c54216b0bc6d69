-- What a repetition is answered with: everything but the wait can be told again from the order itself, so this is all
-- that is kept of the first answer. Null: it was not written down any more.
alter table idempotency_keys add column waiting jsonb;
grant update (waiting) on idempotency_keys to tessera_app;

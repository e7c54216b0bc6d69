-- What an Idempotency-Key was answered with; the key itself is written by `admission`, beside the job.

-- keep :run
-- What first answers said of the wait.
update idempotency_keys k set waiting = m.waiting
from unnest(%(user_id)s::uuid[], %(key)s::text[], %(waiting)s::jsonb[]) as m (user_id, key, waiting)
where k.user_id = m.user_id and k.key = m.key and k.waiting is null;

-- kept :value
-- What the first answer said of the wait.
select k.waiting::text from idempotency_keys k where k.user_id = %(user_id)s::uuid and k.key = %(key)s::text;

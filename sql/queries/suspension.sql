-- Suspension: an account that may do nothing, and what it had in hand.

-- suspend :value
-- Suspends an account; no row when it was not active. A trigger tells the row that admission locks.
update users set status = 'suspended' where id = %(user_id)s::uuid and status = 'active' returning id;

-- restore :value
-- Takes a suspension back; no row when there was none.
update users set status = 'active' where id = %(user_id)s::uuid and status = 'suspended' returning id;

-- status :value
-- What an account is.
select u.status from users u where u.id = %(user_id)s::uuid;

-- in_hand :many
-- The jobs of a user that are still to be canceled, those that an agent has first.
select j.id from jobs j
where j.user_id = %(user_id)s::uuid and j.state in ('queued', 'running') and j.cancel_requested_at is null
order by j.state desc, j.id
limit %(most)s::integer;

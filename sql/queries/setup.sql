-- The first run: what stands in its row, and the facts by which its steps are done.

-- look :one
-- How far an operator has come: what was put off, the machine that is waited for, and its first picture.
select s.put_off, s.closed_at is not null as closed, t.expires_at as token_expires_at,
    coalesce(t.expires_at > now() and t.used_at is null, false) as token_live, w.id as worker_id, s.picture_job_id, p.state as picture_state,
    drawn.name as picture_by,
    exists (select from sessions x where x.user_id = %(user_id)s::uuid) as signed_in,
    exists (
        select from slots k join workers v on v.id = k.worker_id join lanes l on l.id = any (k.lane_ids)
        where v.revoked_at is null and v.trust <> 'sandbox' and l.task <> '') as has_gpu
from setup s
left join enrolment_tokens t on t.id = s.token_id
left join workers w on w.id = t.worker_id and w.revoked_at is null
left join jobs p on p.id = s.picture_job_id
left join attempts a on a.job_id = p.id and a.outcome = 'succeeded'
left join workers drawn on drawn.id = a.worker_id;

-- is_open :value
-- Whether it is shown by itself.
select s.closed_at is null from setup s;

-- operators :many
-- Who owns a live key with the scope `admin`, the eldest first.
select u.name from users u
where u.status = 'active' and exists (
    select from api_keys k where k.user_id = u.id and 'admin' = any (k.scopes) and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > now()))
order by u.created_at, u.id limit 100;

-- bots :many
-- The services that act for people, and when each was heard of last.
select k.name, k.providers, k.last_used_at
from api_keys k
where k.user_id is null and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
order by k.created_at, k.id limit 100;

-- put_off :run
-- Puts a step off, or takes that back.
update setup set put_off = case when %(later)s::boolean
    then array_append(array_remove(put_off, %(step)s::text), %(step)s::text) else array_remove(put_off, %(step)s::text) end
where only_one;

-- close :run
-- Shows it by itself no more, or again.
update setup set closed_at = case when %(closed)s::boolean then coalesce(closed_at, now()) end where only_one;

-- await_machine :run
-- A new machine is waited for, and its first picture is yet to come.
update setup set token_id = %(token_id)s::text, picture_job_id = null where only_one;

-- await_picture :run
-- The first picture has been ordered.
update setup set picture_job_id = %(job_id)s::uuid where only_one;

-- Inputs: the pictures that orders start from. Every statement of a person names the user.

-- room :one
-- An id for a new input, and what this user has uploaded in the last day.
select uuid7() as id, count(i.id)::integer as count, coalesce(sum(i.bytes), 0)::bigint as bytes
from (select) alone
left join inputs i on i.user_id = %(user_id)s::uuid and i.expires_at > now();

-- renew :one
-- The same file once more: what it became is kept for another day.
update inputs i set expires_at = now() + make_interval(secs => %(keep_seconds)s::float8), adult = i.adult or %(adult)s::boolean
where i.id = (
    select l.id from live_inputs l
    where l.user_id = %(user_id)s::uuid and l.received_sha256 = %(received_sha256)s::bytea order by l.id desc limit 1)
returning i.id, i.key, i.mime_type, i.width, i.height, i.bytes, i.sha256, i.received_sha256, i.created_at, i.expires_at, i.adult;

-- lock_user :run
-- What one user uploads at the same time in several places is counted one after the other.
select pg_advisory_xact_lock(hashtextextended('inputs ' || %(user_id)s::uuid, 0));

-- add :one
-- The row of a picture that is in the store, unless the user has as many as allowed.
insert into inputs (id, user_id, key, mime_type, width, height, bytes, sha256, received_sha256, job_id, index, adult, expires_at)
select %(id)s::uuid, %(user_id)s::uuid, %(key)s::text, %(mime_type)s::text, %(width)s::integer, %(height)s::integer,
    %(bytes)s::bigint, %(sha256)s::bytea, %(received_sha256)s::bytea, %(job_id)s::uuid, %(index)s::smallint, %(adult)s::boolean,
    now() + make_interval(secs => %(keep_seconds)s::float8)
from (
    select count(*) as count, coalesce(sum(i.bytes), 0) as bytes
    from inputs i where i.user_id = %(user_id)s::uuid and i.expires_at > now()
) mine
where mine.count < %(count_max)s::integer and mine.bytes + %(bytes)s::bigint <= %(bytes_max)s::bigint
returning id, key, mime_type, width, height, bytes, sha256, received_sha256, created_at, expires_at, adult;

-- get :one
-- One input of this user that can be ordered.
select id, key, mime_type, width, height, bytes, sha256, received_sha256, created_at, expires_at, adult
from live_inputs where id = %(id)s::uuid and user_id = %(user_id)s::uuid;

-- of_result :one
-- The input that a result of this user has become before.
select id, key, mime_type, width, height, bytes, sha256, received_sha256, created_at, expires_at, adult
from live_inputs
where user_id = %(user_id)s::uuid and job_id = %(job_id)s::uuid and index = %(index)s::smallint
order by id desc limit 1;

-- result :one
-- A result of this user, to be made an input.
select a.key, a.mime_type, a.bytes, coalesce((s.spec ->> 'adult')::boolean, false) as adult
from jobs j
join job_specs s on s.job_id = j.id
join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
    and a.visibility <> 'quarantined'
where j.id = %(job_id)s::uuid and j.state = 'succeeded' and j.user_id = %(user_id)s::uuid;

-- page :many
-- A user's inputs, the newest first, from below a given one.
select id, key, mime_type, width, height, bytes, sha256, received_sha256, created_at, expires_at, adult
from live_inputs
where user_id = %(user_id)s::uuid and id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by id desc
limit %(most)s::integer;

-- signed :one
-- Anybody's input, for the bearer of a signed address.
select l.key, l.mime_type, l.bytes, l.sha256, u.status = 'suspended' as suspended
from live_inputs l join users u on u.id = l.user_id
where l.id = %(id)s::uuid;

-- lock :value
-- Whether a job that is not over needs this input of this user, which is held still while it is deleted.
select exists (
    select from input_uses u join jobs j on j.id = u.job_id where u.input_id = i.id and j.finished_at is null) as needed
from inputs i
where i.id = %(id)s::uuid and i.user_id = %(user_id)s::uuid
for update of i;

-- discard :many
-- Forget an input; its file goes after it.
with gone as (
    delete from inputs where id = %(id)s::uuid and user_id = %(user_id)s::uuid returning key
)
insert into discards (key) select key from gone returning key;

-- of_attempt :one
-- The input of a job for the agent that holds its lease.
select i.key, i.mime_type, i.bytes, i.sha256, i.received_sha256
from jobs j
join workers w on w.id = j.worker_id and w.revoked_at is null
left join input_uses u on u.job_id = j.id
left join inputs i on i.id = u.input_id
where j.id = %(job_id)s::uuid and j.state = 'running' and j.attempt = %(attempt)s::integer
    and j.lease_token = %(token)s::uuid and j.worker_id = %(worker_id)s::uuid;

-- discard_expired :many
-- Inputs that no order can name any more, some time after: whoever looked at one just before has ordered by then.
with old as (
    select i.id
    from inputs i
    where i.expires_at < now() - make_interval(secs => %(grace_seconds)s::float8)
        and not exists (select from live_inputs l where l.id = i.id)
    order by i.expires_at limit %(most)s::integer
    for update of i skip locked
),
gone as (
    delete from inputs where id in (select id from old) returning key
)
insert into discards (key) select key from gone returning key;

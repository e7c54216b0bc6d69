-- The gallery: what owners propose, what the operator decides, and what everybody sees.

-- candidate :one
-- A job of this user, whether one of its files is there, and what it was made from.
select j.state, a.key is not null as there, s.spec::text as spec
from jobs j
join job_specs s on s.job_id = j.id
left join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
    and a.visibility <> 'quarantined'
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid;

-- propose :run
-- The wish of its owner to show a file. What is shown or waits already stays, unless it shall be shown otherwise: then the
-- operator looks again. Nothing happens to what was refused, or when as many of this user's wait as may.
with own as (
    select a.job_id, a.attempt, a.index
    from jobs j
    join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
        and a.visibility <> 'quarantined'
    where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid and j.state = 'succeeded'
)
insert into publications as p (job_id, attempt, index, show_prompt)
select own.job_id, own.attempt, own.index, %(show_prompt)s::boolean from own
where (
    select count(*) from publications w join jobs j on j.id = w.job_id
    where w.state = 'proposed' and j.user_id = %(user_id)s::uuid and (w.job_id, w.index) <> (own.job_id, own.index)
) < %(proposed_max)s::integer
on conflict (job_id, attempt, index) do update
set id = uuid7(), state = 'proposed', show_prompt = excluded.show_prompt, proposed_at = now(), decided_at = null, decided_by = null
where p.state = 'withdrawn' or p.state in ('proposed', 'approved') and p.show_prompt <> excluded.show_prompt;

-- withdraw :value
-- Whether this is a job of this user; what is proposed or shown of that file is so no more.
with own as (
    select j.id, j.attempt from jobs j where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid
),
ended as (
    update publications p set state = 'withdrawn', decided_at = null, decided_by = null
    from own
    where p.job_id = own.id and p.attempt = own.attempt and p.index = %(index)s::smallint
        and p.state in ('proposed', 'approved')
    returning p.id
)
select exists (select from own) as own;

-- own :many
-- What became of the files of a user's job that were ever proposed.
select p.index, p.state, p.show_prompt, p.reason, p.proposed_at, p.decided_at
from jobs j
join publications p on p.job_id = j.id and p.attempt = j.attempt
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid
order by p.index;

-- shown :many
-- What everybody sees, the newest first, from below a given one; nothing of who may order nothing more.
select p.id, p.job_id, p.index, p.show_prompt, a.mime_type, a.width, a.height, s.spec::text as spec
from publications p
join artifacts a on a.job_id = p.job_id and a.attempt = p.attempt and a.index = p.index and a.visibility = 'published'
join jobs j on j.id = p.job_id
join users u on u.id = j.user_id and u.status = 'active'
join job_specs s on s.job_id = p.job_id
where p.state = 'approved' and p.id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by p.id desc
limit %(most)s::integer;

-- file :one
-- The file of one of them.
select p.job_id, p.index, a.key, a.mime_type, a.bytes, a.sha256, s.spec::text as spec
from publications p
join artifacts a on a.job_id = p.job_id and a.attempt = p.attempt and a.index = p.index and a.visibility = 'published'
join jobs j on j.id = p.job_id
join users u on u.id = j.user_id and u.status = 'active'
join job_specs s on s.job_id = p.job_id
where p.id = %(id)s::uuid and p.state = 'approved';

-- page :many
-- Publications in a state, for the operator, the newest first, from below a given one; what was written only where its
-- owner shows it. Quarantined files are not among them.
select p.id, p.job_id, p.index, p.state, p.show_prompt, p.reason, p.proposed_at, p.decided_at, p.decided_by, j.user_id,
    u.name as user, a.mime_type, a.width, a.height, s.spec ->> 'kind' as kind, s.spec ->> 'model' as model,
    case when p.show_prompt then s.spec ->> 'prompt' end as prompt
from publications p
join artifacts a on a.job_id = p.job_id and a.attempt = p.attempt and a.index = p.index and a.visibility <> 'quarantined'
join jobs j on j.id = p.job_id
join users u on u.id = j.user_id
join job_specs s on s.job_id = p.job_id
where p.state = %(state)s::text and p.id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by p.id desc
limit %(most)s::integer;

-- found :one
-- One of them, held still while it is decided on.
select p.job_id, p.index, p.state, s.spec::text as spec, a.visibility = 'quarantined' as quarantined
from publications p
join artifacts a on a.job_id = p.job_id and a.attempt = p.attempt and a.index = p.index
join job_specs s on s.job_id = p.job_id
where p.id = %(id)s::uuid
for update of p;

-- decide :run
-- What the operator says of it.
update publications set state = %(state)s::text, reason = %(reason)s::text, decided_at = now(), decided_by = %(decided_by)s::text
where id = %(id)s::uuid;

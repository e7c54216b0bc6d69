-- Reports: what people complained about, and what became of it.

-- add :one
-- One person's complaint about a file or (null) a job that they can see: their own, a published file, or what was shown
-- to them by a service that may act for its owner (`providers`). A second one about the same thing changes nothing. No
-- row: there is no such thing for them.
with seen as materialized (
    select j.id
    from jobs j
    left join artifacts a on a.job_id = j.id and a.attempt = j.attempt and a.index = %(index)s::smallint
        and j.state = 'succeeded'
    where j.id = %(job_id)s::uuid and (j.user_id = %(reporter_id)s::uuid or a.visibility = 'published'
            or exists (select from identities i where i.user_id = j.user_id and i.provider = any (%(providers)s::text[])))
        and (%(index)s::smallint is null or a.index is not null)
),
known as materialized (
    select r.id, r.created_at from reports r
    where r.job_id = %(job_id)s::uuid and r.reporter_id = %(reporter_id)s::uuid
        and r.index is not distinct from %(index)s::smallint
),
added as (
    insert into reports (job_id, index, reporter_id, category, text)
    select seen.id, %(index)s::smallint, %(reporter_id)s::uuid, %(category)s::text, %(text)s::text from seen
    where not exists (select from known)
        and (select count(*) from reports r where r.reporter_id = %(reporter_id)s::uuid and r.state = 'open')
            < %(open_max)s::integer
    on conflict do nothing
    returning id, created_at
)
select coalesce(added.id, known.id) as id, coalesce(added.created_at, known.created_at) as created_at, added.id is not null as fresh
from seen left join added on true left join known on true;

-- page :many
-- Reports in a state (null: all), the newest first, from below a given one.
select r.id, r.job_id, r.index, r.reporter_id, u.name as reporter, r.category, r.text, r.state, r.created_at, r.handled_at,
    r.handled_by
from reports r join users u on u.id = r.reporter_id
where (%(state)s::text is null or r.state = %(state)s::text)
    and r.id < coalesce(%(before)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by r.id desc
limit %(most)s::integer;

-- handle :one
-- Decides on a report that is open; no row when it is not.
update reports set state = %(state)s::text, handled_at = now(), handled_by = %(handled_by)s::text
where id = %(report_id)s::uuid and state = 'open'
returning job_id, index;

-- state :value
-- What became of a report.
select r.state from reports r where r.id = %(report_id)s::uuid;

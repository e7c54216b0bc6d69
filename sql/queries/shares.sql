-- Links by which owners show their results to whoever has them.

-- add :one
-- The link of a user's job that has succeeded and still has files; the one that there is already, or else this one.
with own as (
    select j.id from jobs j
    where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid and j.state = 'succeeded'
        and exists (select from artifacts a where a.job_id = j.id)
),
added as (
    insert into shares (job_id, token)
    select own.id, %(token)s::text from own
    on conflict (job_id) do nothing
    returning token, created_at
)
select added.token, added.created_at from added
union all
select s.token, s.created_at from own join shares s on s.job_id = own.id;

-- own :one
-- The link of a user's job, if it has one.
select s.token, s.created_at from shares s join jobs j on j.id = s.job_id
where s.job_id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid;

-- remove :run
-- The link of a user's job opens nothing any more.
delete from shares s using jobs j
where s.job_id = %(job_id)s::uuid and j.id = s.job_id and j.user_id = %(user_id)s::uuid;

-- opened :one
-- The job that a link shows, and whose it is.
select s.job_id, j.user_id from shares s join jobs j on j.id = s.job_id where s.token = %(token)s::text;

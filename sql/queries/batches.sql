-- Batches: orders that were placed together.

-- new_id :value
-- An id for a batch, which its jobs carry from the beginning.
select uuid7();

-- add :value
-- A batch whose jobs were admitted in the same transaction.
insert into batches (id, job_ids) values (%(id)s::uuid, %(job_id)s::uuid[]) returning created_at;

-- get :one
-- A batch whose jobs are this user's.
select b.id, b.created_at, b.job_ids from batches b
where b.id = %(id)s::uuid and exists (
    select from jobs j where j.id = b.job_ids[1] and j.user_id = %(user_id)s::uuid);

-- of_job :value
-- The batch that a job of this user was ordered in.
select (s.spec ->> 'batch_id')::uuid from jobs j join job_specs s on s.job_id = j.id
where j.id = %(job_id)s::uuid and j.user_id = %(user_id)s::uuid;

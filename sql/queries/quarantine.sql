-- Quarantine: files that nobody may see, and may again.

-- quarantine :many
-- Takes a file of a job that succeeded (null: all of them) out of every address and list; what it was is remembered.
update artifacts a set visibility = 'quarantined', visibility_before = a.visibility
from jobs j
where j.id = %(job_id)s::uuid and j.state = 'succeeded' and a.job_id = j.id and a.attempt = j.attempt
    and (%(index)s::smallint is null or a.index = %(index)s::smallint) and a.visibility <> 'quarantined'
returning a.index;

-- restore :many
-- Makes them again what they were before.
update artifacts a set visibility = a.visibility_before, visibility_before = null
from jobs j
where j.id = %(job_id)s::uuid and a.job_id = j.id and a.attempt = j.attempt
    and (%(index)s::smallint is null or a.index = %(index)s::smallint) and a.visibility = 'quarantined'
returning a.index;

-- visibility :value
-- What a file is now.
select a.visibility from artifacts a join jobs j on j.id = a.job_id and j.attempt = a.attempt
where a.job_id = %(job_id)s::uuid and a.index = %(index)s::smallint and j.state = 'succeeded';

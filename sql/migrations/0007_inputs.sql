-- Pictures that orders start from: uploaded by their user, or a result of the user's own. Each is kept for a day, and
-- longer for as long as a job needs it.

-- What was received is not what is kept (see `control_plane/media/normalise.py`), so there are two hashes. `job_id` and `index`
-- say of which result it was made. No foreign key leads to jobs, which would look twice at each change of one.
create table inputs (
    id uuid primary key,
    user_id uuid not null references users,
    key text not null unique check (length(key) between 1 and 200),
    mime_type text not null check (mime_type in ('image/png', 'image/jpeg')),
    width integer not null check (width > 0),
    height integer not null check (height > 0),
    bytes bigint not null check (bytes > 0),
    sha256 bytea not null check (octet_length(sha256) = 32),
    received_sha256 bytea not null check (octet_length(received_sha256) = 32),
    job_id uuid,
    index smallint check (index between 0 and 63),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint result_is_whole check ((job_id is null) = (index is null))
);
create index inputs_user on inputs (user_id, id desc);
create index inputs_received on inputs (user_id, received_sha256);
create index inputs_expires on inputs (expires_at);

-- Which jobs start from which input: written with the spec of the job, whichever statement does it, so that no
-- order is ever without. An order without an input costs one look into its spec.
create table input_uses (
    job_id uuid primary key,
    input_id uuid not null references inputs on delete cascade
);
create index input_uses_input on input_uses (input_id);

create function use_input() returns trigger
    language plpgsql
    set search_path = public, pg_temp
as $$
begin
    insert into input_uses (job_id, input_id)
    select new.job_id, i.id from inputs i where i.id = (new.spec -> 'input_image' ->> 'id')::uuid;
    return null;
end
$$;
create trigger job_specs_use_input after insert on job_specs
    for each row when (new.spec -> 'input_image' ? 'id') execute function use_input();

-- A job whose prompt and files were erased needs its input no more.
create function release_input() returns trigger
    language plpgsql
    set search_path = public, pg_temp
as $$
begin
    delete from input_uses where job_id = new.job_id;
    return null;
end
$$;
create trigger job_specs_release_input after update of spec on job_specs
    for each row when (old.spec -> 'input_image' ? 'id' and not coalesce(new.spec -> 'input_image' ? 'id', false))
    execute function release_input();

-- Inputs that can be ordered: young ones, and those of jobs that are not over or are kept by the plan of their user.
create view live_inputs as
select i.id, i.user_id, i.key, i.mime_type, i.width, i.height, i.bytes, i.sha256, i.received_sha256, i.job_id, i.index,
    i.created_at, i.expires_at
from inputs i
where i.expires_at > now() or exists (
    select from input_uses u
    join jobs j on j.id = u.job_id
    join users owner on owner.id = i.user_id
    join plans p on p.name = owner.plan
    where u.input_id = i.id
        and (j.finished_at is null or j.finished_at > now() - make_interval(days => p.retention_days)));

-- Whoever becomes part of another user takes their inputs along.
create function merge_inputs() returns trigger
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
begin
    update inputs set user_id = new.merged_into where user_id = new.id;
    return null;
end
$$;
create trigger users_merge_inputs after update of status on users
    for each row when (new.status = 'merged' and old.status <> 'merged') execute function merge_inputs();

------------------------------------------------------------------------------------------- what models are for

-- Tasks of a model; none: those from text alone. `upscales`: by which factors it enlarges.
alter table models
    add column tasks text[] not null default '{}',
    add column upscales smallint[] not null default '{}',
    add constraint tasks_of_its_kind check (tasks <@ case kind
        when 'image' then array['text-to-image', 'image-to-image', 'upscale']
        else array['text-to-video', 'image-to-video'] end),
    add constraint upscales_says_how_far check (('upscale' = any (tasks)) = (cardinality(upscales) > 0)),
    add constraint upscales_known check (upscales <@ array[2, 4]::smallint[]);
update models set tasks = '{text-to-image,image-to-image,upscale}', upscales = '{2,4}' where name = 'testcard' and kind = 'image';
update models set tasks = '{text-to-video,image-to-video}' where name = 'testcard' and kind = 'video';

------------------------------------------------------------------------------------------- rights

grant select, insert, delete on inputs, input_uses to tessera_app;
grant update (expires_at) on inputs to tessera_app;
grant select on live_inputs to tessera_app;
revoke execute on function use_input(), release_input(), merge_inputs() from public;

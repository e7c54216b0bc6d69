-- What starts from adult content is adult content, whatever its words say; what was typed before it was translated stands
-- in the spec beside the prompt, and goes with it.
alter table inputs add column adult boolean not null default false;

-- Inputs that can be ordered: young ones, and those of jobs that are not over or are kept by the plan of their user.
create or replace view live_inputs as
select i.id, i.user_id, i.key, i.mime_type, i.width, i.height, i.bytes, i.sha256, i.received_sha256, i.job_id, i.index,
    i.created_at, i.expires_at, i.adult
from inputs i
where i.expires_at > now() or exists (
    select from input_uses u
    join jobs j on j.id = u.job_id
    join users owner on owner.id = i.user_id
    join plans p on p.name = owner.plan
    where u.input_id = i.id
        and (j.finished_at is null or j.finished_at > now() - make_interval(days => p.retention_days)));

-- A spec without what a person put into it, and without what that says of them; sizes, steps and cost stay, because the
-- accounting needs them.
create function without_words(spec jsonb) returns jsonb
    language sql immutable
    return (spec - array['typed', 'adult']) || '{"prompt": "", "negative_prompt": "", "input_image": null}';

create or replace function retire_jobs(candidates uuid[], before timestamptz, out retired uuid[], out keys text[])
    language plpgsql security definer
    set search_path = public, pg_temp
as $$
begin
    retired := array(
        select j.id from jobs j
        where j.id = any (candidates) and j.finished_at < before and not must_be_kept(j.id)
        order by j.id for no key update skip locked);
    with gone as (
        delete from artifacts a where a.job_id = any (retired) returning a.key
    ),
    noted as (
        insert into discards (key) select gone.key from gone on conflict do nothing
    )
    select coalesce(array_agg(gone.key), '{}') into keys from gone;
    delete from shares s where s.job_id = any (retired);
    delete from provenance p where p.job_id = any (retired);
    delete from job_events e where e.job_id = any (retired);
    delete from job_progress p where p.job_id = any (retired);
    update attempts a set message = null where a.job_id = any (retired) and a.message is not null;
    update jobs j set prompt_rendered = null where j.id = any (retired) and j.prompt_rendered is not null;
    update job_specs s set spec = without_words(s.spec), metadata = '{}', webhook_url = null
    where s.job_id = any (retired)
        and (s.spec <> without_words(s.spec) or s.metadata <> '{}' or s.webhook_url is not null);
end
$$;

grant update (adult) on inputs to tessera_app;

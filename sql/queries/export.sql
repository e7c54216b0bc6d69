-- Everything that is known of a person, as lines of JSON for that person. Secrets are never among it, nor their hashes.
-- `user_id` is the survivor of merges: what those had who became part of them belongs to the same person.

-- account :one
-- Who somebody is, what they have chosen and what they have.
select now() as at, u.name, jsonb_build_object('id', u.id, 'name', u.name, 'plan', p.plan, 'paid_until', u.paid_until,
    'status', u.status, 'time_zone', u.time_zone, 'created_at', u.created_at, 'embed_metadata', u.embed_metadata,
    'choices', u.choices,
    'tokens', jsonb_build_object('purchased', b.purchased, 'held', b.held),
    'identities', (select coalesce(jsonb_agg(jsonb_build_object('provider', i.provider, 'subject', i.subject,
            'created_at', i.created_at) order by i.created_at), '[]')
        from identities i where i.user_id = u.id),
    'former_accounts', (select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'name', m.name, 'created_at', m.created_at,
            'merged_at', m.merged_at) order by m.merged_at), '[]')
        from users m where m.merged_into = u.id),
    'invites', (select coalesce(jsonb_agg(jsonb_build_object('invite', v.invite_id, 'used_at', v.used_at)
            order by v.used_at), '[]')
        from invite_uses v where v.user_id = any (household(u.id))))::text as line
from users u
join user_plans p on p.user_id = u.id
join balances b on b.user_id = u.id
where u.id = %(user_id)s::uuid;

-- api_keys :many
-- Keys by their names; the secrets are not known here.
select jsonb_build_object('id', k.id, 'name', k.name, 'test', is_test(k.user_id), 'scopes', k.scopes, 'models', k.models,
    'networks', k.networks::text[], 'origins', k.origins, 'daily_cap', k.daily_cap, 'created_at', k.created_at,
    'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'rotated_at', k.rotated_at, 'revoked_at', k.revoked_at)::text
from api_keys k where k.user_id = any (household(%(user_id)s::uuid)) order by k.created_at, k.id;

-- sessions :many
-- Browsers that are signed in.
select jsonb_build_object('id', s.id, 'way', s.way, 'device', s.device, 'created_at', s.created_at,
    'expires_at', s.expires_at, 'last_used_at', s.last_used_at)::text
from sessions s where s.user_id = any (household(%(user_id)s::uuid)) order by s.created_at, s.id;

-- webhooks :many
-- Where somebody wants to be told; without what messages are signed with.
select jsonb_build_object('id', w.id, 'url', w.url, 'events', w.events, 'description', w.description,
    'created_at', w.created_at, 'failing_since', w.failing_since, 'disabled_at', w.disabled_at,
    'disabled_reason', w.disabled_reason)::text
from webhook_endpoints w where w.user_id = any (household(%(user_id)s::uuid)) order by w.id;

-- payments :many
-- What was paid.
select jsonb_build_object('id', p.id, 'provider', p.provider, 'provider_id', p.provider_id, 'pack', p.pack,
    'amount', p.amount, 'currency', p.currency, 'tokens', p.tokens, 'state', p.state, 'place', p.place, 'payer', p.payer,
    'created_at', p.created_at, 'refunded_at', p.refunded_at)::text
from payments p where p.user_id = any (household(%(user_id)s::uuid)) order by p.id;

-- usage :many
-- What was taken of each day.
select jsonb_build_object('day', d.day, 'test', is_test(d.user_id), 'jobs', d.jobs, 'daily', d.daily,
    'purchased', d.purchased)::text
from usage_daily d where d.user_id = any (household(%(user_id)s::uuid)) order by d.day, d.user_id;

-- reports :many
-- What somebody complained about.
select jsonb_build_object('id', r.id, 'job_id', r.job_id, 'index', r.index, 'category', r.category, 'text', r.text,
    'state', r.state, 'created_at', r.created_at)::text
from reports r where r.reporter_id = any (household(%(user_id)s::uuid)) order by r.id;

-- acts :many
-- What is written down of what somebody did to their account, and of what operators did to it.
select jsonb_build_object('at', l.at, 'by', l.actor_kind, 'verb', l.verb, 'object', l.object_kind, 'id', l.object_id)::text
from audit_log l
where l.object_kind = 'user' and l.object_id = any (household(%(user_id)s::uuid)::text[])
    or l.object_kind = 'identity' and l.actor_kind = 'user' and l.actor_id = any (household(%(user_id)s::uuid)::text[])
order by l.id;

-- inputs :many
-- Pictures that orders start from, behind a given one.
select i.id, i.key, i.mime_type, i.created_at, jsonb_build_object('id', i.id, 'mime_type', i.mime_type, 'width', i.width,
    'height', i.height, 'bytes', i.bytes, 'sha256', encode(i.sha256, 'hex'), 'created_at', i.created_at,
    'expires_at', i.expires_at)::text as line
from inputs i
where i.user_id = any (household(%(user_id)s::uuid)) and i.id > %(after)s::uuid
order by i.id limit %(most)s::integer;

-- ledger :many
-- Tokens that moved, behind a given line.
select t.id, jsonb_build_object('id', t.id, 'at', t.created_at, 'test', is_test(t.user_id), 'kind', t.kind, 'from', t.debit,
    'to', t.credit, 'amount', t.amount, 'day', t.day, 'job_id', t.job_id, 'reason', t.reason)::text as line
from unnest(household(%(user_id)s::uuid)) as mine (id)
cross join lateral (
    select l.id, l.created_at, l.user_id, l.kind, l.debit, l.credit, l.amount, l.day, l.job_id, l.reason
    from ledger_transfers l
    where l.user_id = mine.id and l.id > %(after)s::bigint
    order by l.user_id, l.id limit %(most)s::integer
) t
order by t.id limit %(most)s::integer;

-- jobs :many
-- Orders with what was typed, what became of them, and the names of their files, behind a given one of one user.
select j.id, jsonb_build_object('id', j.id, 'test', is_test(j.user_id), 'state', j.state, 'error', j.error_code, 'cost', j.cost,
    'charged', st.charged, 'created_at', j.created_at, 'started_at', j.started_at, 'finished_at', j.finished_at,
    'attempts', j.attempt, 'spec', s.spec, 'metadata', s.metadata, 'webhook_url', s.webhook_url,
    'made_with', (select v.made from provenance v where v.job_id = j.id and v.attempt = j.attempt and j.state = 'succeeded'),
    'share_link', (select h.created_at from shares h where h.job_id = j.id),
    'events', (select jsonb_agg(jsonb_build_object('at', e.at, 'name', e.name, 'attempt', e.attempt) order by e.seq)
        from job_events e where e.job_id = j.id),
    'gallery', (select jsonb_agg(jsonb_build_object('index', p.index, 'state', p.state, 'show_prompt', p.show_prompt,
            'proposed_at', p.proposed_at, 'decided_at', p.decided_at) order by p.index)
        from publications p where p.job_id = j.id and p.attempt = j.attempt))::text as line
from jobs j
left join job_specs s on s.job_id = j.id
left join settlements st on st.job_id = j.id
where j.user_id = any (array[%(user_id)s::uuid]) and j.id > %(after)s::uuid
order by j.user_id desc, j.id limit %(most)s::integer;

-- files :many
-- The files of jobs that have succeeded; what was withdrawn is not handed out.
select a.job_id, a.index, a.key, a.mime_type, a.created_at
from artifacts a
join jobs j on j.id = a.job_id and j.attempt = a.attempt and j.state = 'succeeded' and j.user_id = %(user_id)s::uuid
where a.job_id = any (%(job_id)s::uuid[]) and a.visibility <> 'quarantined'
order by a.job_id, a.index;

-- What was done by those who may do more than order: written once, never changed.

-- add :run
-- One line of the log.
insert into audit_log (actor_kind, actor_id, verb, object_kind, object_id, detail)
values (%(actor_kind)s::text, %(actor_id)s::text, %(verb)s::text, %(object_kind)s::text, %(object_id)s::text,
    %(detail)s::text::jsonb);

-- page :many
-- The newest lines, of everything or about one thing, from below a given one.
select a.id, a.actor_kind, a.actor_id, u.name as actor_name, a.verb, a.object_kind, a.object_id, a.detail, a.at
from audit_log a
left join users u on u.id = case a.actor_kind when 'user' then a.actor_id::uuid end
where a.id < coalesce(%(before)s::bigint, 9223372036854775807)
    and (%(object_kind)s::text is null or a.object_kind = %(object_kind)s::text)
    and (%(object_id)s::text is null or a.object_id = %(object_id)s::text)
order by a.id desc
limit %(most)s::integer;

-- What the bots remember by themselves: which message shows which job, what was delivered, who has met which bot. Each
-- statement has a name in the line above it.

-- name: make_conversations
create table if not exists conversations (
    id text primary key,
    state blob not null,
    idle integer not null,
    changed_at real not null
) without rowid;

-- name: make_contacts
create table if not exists contacts (
    platform text not null,
    subject text not null,
    bot text not null,
    chat text not null,
    met_at real not null,
    primary key (platform, subject, bot)
) without rowid;

-- name: load
select state from conversations where id = ?;

-- name: save
insert into conversations (id, state, idle, changed_at) values (?, ?, ?, ?)
on conflict (id) do update set state = excluded.state, idle = excluded.idle, changed_at = excluded.changed_at;

-- name: busy
select state from conversations where idle = 0;

-- name: forget
delete from conversations where idle = 1 and changed_at < ?;

-- name: people
select platform, subject from (
    select platform, subject, met_at as at from contacts
    union all
    select json_extract(cast(state as text), '$.scene.platform_name'),
        json_extract(cast(state as text), '$.scene.subject'), changed_at
    from conversations
) group by platform, subject having max(at) < ?;

-- name: leave_conversations
delete from conversations
where json_extract(cast(state as text), '$.scene.platform_name') = ?
    and json_extract(cast(state as text), '$.scene.subject') = ?
returning id;

-- name: leave_contacts
delete from contacts where platform = ? and subject = ?;

-- name: meet
insert into contacts (platform, subject, bot, chat, met_at) values (?, ?, ?, ?, ?)
on conflict (platform, subject, bot) do update set chat = excluded.chat, met_at = excluded.met_at;

-- name: met
select bot, chat from contacts where platform = ? and subject = ? order by met_at desc;

-- name: part
delete from contacts where platform = ? and subject = ? and bot = ?;

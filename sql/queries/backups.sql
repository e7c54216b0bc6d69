-- Backups: what is written down of them, and what must be the same before and after.

-- lock :value
-- One backup at a time, whoever makes it; held until the connection closes.
select pg_try_advisory_lock(8110210);

-- export :one
-- The snapshot that a dump is taken of. Its transaction has to stay open.
select pg_export_snapshot() as snapshot, now() as taken_at, current_setting('server_version') as server,
    current_setting('server_version_num')::integer / 10000 as major, current_database()::text as database,
    pg_database_size(current_database()) as bytes;

-- migrations :many
-- What the schema is made of.
select to_char(number, 'FM0000') || '_' || name from schema_migrations order by number;

-- readers :many
-- For every table that is kept, the statement that counts its rows and adds up the hashes of their contents, in whatever
-- order they lie.
select c.relname::text as name, format('select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from public.%%I t',
    c.relname) as statement
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relpersistence = 'p'
order by c.relname;

-- grants :many
-- Who may do what, for every table, function and schema; the owner of all is left out, since that may be another.
select kind || ' ' || name || ': ' || coalesce(grantee.rolname, 'public') || ' ' || granted.privilege_type as entry
from (
    select 'table' as kind, c.relname::text as name, c.relowner as owner, c.relacl as acl from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
    union all
    select 'function', p.proname::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p
    where p.pronamespace = 'public'::regnamespace
    union all
    select 'schema', n.nspname::text, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'public'
    union all
    select 'column', c.relname || '.' || a.attname, c.relowner, a.attacl
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and a.attacl is not null
) thing
cross join lateral aclexplode(thing.acl) granted
left join pg_roles grantee on grantee.oid = granted.grantee
where granted.grantee <> thing.owner
order by 1;

-- pictures :many
-- Every file that a row names, by its contents: what customers made and what they brought.
select key, encode(sha256, 'hex') as sha256, bytes, mime_type from artifacts
union all
select key, encode(sha256, 'hex') as sha256, bytes, mime_type from inputs;

-- ledger :value
-- How many disagreements there are in the books.
select count(*)::integer from ledger_violations;

-- begin :value
-- A backup that has begun.
insert into backups (kind, place, name, sealed)
values (%(kind)s::text, %(place)s::text, %(name)s::text, %(sealed)s::boolean) returning id;

-- finish :run
-- What became of it.
update backups set ended_at = now(), verified_at = case when %(verified)s::boolean then now() end, bytes = %(bytes)s::bigint,
    files = %(files)s::integer, files_missing = %(files_missing)s::integer, error = %(error)s::text
where id = %(id)s::uuid;

-- recent :many
-- The newest backups, as people look at them.
select id, kind, place, name, sealed, started_at, ended_at, verified_at, bytes, files, files_missing, error from backups
order by started_at desc limit %(most)s::integer;

-- standing :one
-- Where the backups stand: the last one, the last that was proven, and how long ago that was.
select last.started_at as last_started_at, last.ended_at as last_ended_at, last.error as last_error, last.bytes as last_bytes,
    proven.verified_at, extract(epoch from now() - proven.started_at)::float8 as verified_age_seconds,
    extract(epoch from now() - last.started_at)::float8 as last_age_seconds
from (values (1)) as always
left join lateral (select started_at, ended_at, error, bytes from backups order by started_at desc limit 1) last on true
left join lateral (select started_at, verified_at from backups where verified_at is not null and error is null
    order by started_at desc limit 1) proven on true;

-- due :value
-- Whether tonight's backup is still to be made: none has succeeded since the time of day last came by, and none was tried
-- within the last hour.
select not exists (
    select from backups b cross join lateral (
        select (date_trunc('day', now(), 'UTC') + %(at)s::text::interval) as today
    ) clock
    where b.kind = 'dump' and (
        b.started_at > now() - interval '1 hour'
        or b.error is null and b.ended_at is not null
            and b.started_at >= clock.today - case when clock.today > now() then interval '1 day' else interval '0' end));

-- known_place :value
-- Whether an earlier backup was made in this place.
select exists (select from backups where place = %(place)s::text and ended_at is not null and error is null);

-- tables :value
-- How many tables there are: none in a database that may be filled.
select count(*)::integer from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p');

-- others :value
-- How many other programs are connected to this database. Of sessions of other roles one sees no more than this.
select count(*)::integer from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null;

-- cluster :one
-- Which server this is, and whether what is followed of its log has been lost.
select c.system_identifier::text as system_identifier, current_setting('server_version_num')::integer / 10000 as major, now() as now,
    exists (select from pg_replication_slots where slot_name = 'tessera_stream' and wal_status = 'lost') as slot_lost
from pg_control_system() c;

-- slot :value
-- What keeps the log until it has been received, if it is not there yet.
select pg_create_physical_replication_slot('tessera_stream', true)::text
where not exists (select from pg_replication_slots where slot_name = 'tessera_stream');

-- drop_slot :value
-- Nothing is kept any more.
select pg_drop_replication_slot('tessera_stream')::text;

-- switch :value
-- What is in the log so far is a segment, and can be received whole.
select pg_switch_wal()::text;

-- The least migration that code must know to work with this schema: 0 while a migration only adds. Code of the release
-- before looks here to know whether it may go on beside a schema that is newer than itself.
alter table schema_migrations add column needs integer not null default 0 check (needs >= 0 and needs <= number);

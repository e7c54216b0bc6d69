-- What happened while an endpoint was disabled is not made up for, also when the relay reads of it only afterwards.
alter table webhook_endpoints add column enabled_at timestamptz not null default now();
update webhook_endpoints set enabled_at = created_at;

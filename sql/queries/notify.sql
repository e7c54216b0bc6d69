-- Wake-ups between processes. A notification is a hint; the tables are the truth.

-- send :run
-- One notification, sent outside any other transaction: NOTIFY takes a global lock at commit.
select pg_notify('tessera', %(payload)s::text);

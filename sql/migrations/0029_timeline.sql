-- Which server counts: what PostgreSQL calls its timeline. One that took over from another (a standby, a rewound backup) has
-- the next, and may give out the same numbers of transactions again.
create function timeline() returns text
    language sql stable
    set search_path = pg_catalog
    return substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);

-- Whom a bot has met stands in temporary tables, which are found before those of the file. What an earlier version has
-- written of people is taken out.
delete from main.usernames;
delete from main.peers;

create temp table peers (id integer primary key, access_hash integer, type text not null, phone_number text);
create temp table usernames (id integer, username text);
create index temp.usernames_id on usernames (id);

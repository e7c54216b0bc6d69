-- A function that sets anything while it runs is never made a part of the statement that calls it, and each of these is
-- called several times for every order. Their bodies were bound when they were made, so there is no path to be searched.

alter function utc_day(timestamptz) reset search_path;
alter function uuid7() reset search_path;
alter function uuid7_floor(timestamptz) reset search_path;

"""What has happened: `job_events` is written in the transaction of the deed itself, so it is a log and an outbox
at once.

`tail` reads it in an order in which nothing that commits late is ever jumped over; `feed` is the one reader of a
process, whom any number of listeners follow. Streams and webhooks both stand on it.
"""

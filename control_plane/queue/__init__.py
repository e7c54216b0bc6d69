"""The queue: how an order becomes a job, a job a lease, and a lease an end.

What is decided is decided by statements: `admission` puts jobs in line, `statements` takes them out, keeps and ends
them, each fenced, so any number of processes may run them at once. The rest is what one process adds to be quick:
`dispatch` brings callers to the statements, many to one (`coalesce`), `claims` for agents that wait (`waiters`),
with what is known of the `lanes`, and keeps `heartbeats` until there is news. `waiting`, `eta` and `bound` say why
a job waits and for how long. All of it may be lost at any moment, and nothing but time is.
"""

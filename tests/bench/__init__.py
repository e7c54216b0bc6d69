"""The race: what Tessera reaches on this machine, against what the issue promised and against its peers.

`make bench` (or `python -m tests.bench`) starts a durable PostgreSQL of its own in a scratch folder, gives every
contestant a database on it, and lets them run in turn, several rounds each; what is compared is compared inside one
run, as a ratio of medians, because machines differ and have moods. Beside every rate stand the CPU microseconds per
job of client, control plane and PostgreSQL, which are the figures that stay put, and how much CPU strangers and the
hypervisor took meanwhile. Every row says its target and whether it was reached; nothing is asserted here.

It needs the extra `bench` (procrastinate and pgqueuer, the peers) and `wrk`, which makes the load.
"""

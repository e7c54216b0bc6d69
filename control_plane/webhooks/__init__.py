"""Telling other programs: where they want to be told (`endpoints`), and messages that arrive at least once.

The `relay` follows the log of events behind a cursor and writes `deliveries`, the `courier` takes and sends them.
What a message looks like and when it is tried again stands in `envelope`, and `egress` keeps it away from our own
network. The courier stands above the jobs that it tells of, the rest below them.
"""

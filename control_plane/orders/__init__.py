"""What can be ordered: `models` on offer, an order completed to what an engine can run (`specs`), its price
(`pricing`).

Nothing here is in line yet: an order becomes a job by admission (`queue.admission`). `idempotency` sees to it that
an order which is sent twice is placed once; `repeating` makes a new one of an old.
"""

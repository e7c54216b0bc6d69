"""A package, not a namespace: a library of the bots has a top-level `tests` of its own, which would be found instead."""

"""A package, since a library of the bots has a top-level `tests` of its own that a namespace would lose against."""

"""A package and no namespace: a library of the bots brings a top-level `tests` of its own, which would be found instead."""

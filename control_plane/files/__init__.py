"""Files that have a row: what agents bring (`artifacts`), what customers bring (`inputs`, by way of `intake`).

The row is the truth and the file follows it: a file comes before its row, and goes after it (`discards` notes what
is to go). Where the bytes lie is the store's matter. `provenance` notes what a result was made with.
"""

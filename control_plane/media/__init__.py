"""What is inside a file, by its content alone: knows bytes and folders, and nothing of jobs, users or the
database.

Headers are read here (`probe`, `marking`). Whatever has to be decoded is decoded by a child process with nothing in
its hands: strangers' pictures (`normalise`), small pictures of results (`thumbnails` has them made by
`thumbnailing`).
"""

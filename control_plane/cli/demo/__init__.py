"""`make demo`: the story of Tessera in ten seconds, told by real processes.

Three customers order at once over HTTP, two agents draw, one is killed with SIGKILL in mid-picture, its job moves to
the other, and everybody gets exactly one picture. `house` starts and clears away the processes, `story` lets it happen,
`stage` shows it, `proof` asks database and disk whether it really happened as told: only then is the exit code 0.
"""

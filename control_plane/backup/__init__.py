"""Backups: everything that a machine must have to be the service again, in a place that is not this machine.

    snapshot ─ dump ─ pictures ─ list ─ archive ─ read back, opened, restored into an empty server, compared ─ retention

A backup is one file (`archive.py`): the dump of one snapshot, the manifest with what must be the same after a restore,
the list of pictures, the data folder and the settings. Pictures lie beside it once each, by their contents, so the next
backup brings only what is new. All is closed with age before it leaves (`sealing.py`). The file comes last and whole:
what has a name can be restored. Proof is made of what lies there: a key that lives for one run opens it once more.
`making`, `restoring` and `moving` are the verbs, `names` decides what is kept, `places` is where things lie.
"""

from __future__ import annotations


class BackupError(Exception):
    """What could not be backed up or restored; the message says why and what to do."""

    exit_code = 69

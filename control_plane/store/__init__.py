"""Where bytes lie: artifacts, inputs, thumbnails. In a folder (`folder.py`) or in an object store (`objects.py`).

A key is made by us (`keys.py`), says where a file lies, and is never taken from a client. A file comes in through
`stage`: written to local disk and hashed on the way, looked at, and then kept under its key, all or nothing; hence
what lies under a key is whole and was verified before. What is deleted and was not there is no error: a sweep that
was interrupted is simply run again. An object store can also hand out short-lived addresses of its own, so that bytes
need not pass through this service; a folder answers None instead, and they do. `contract.py` has both in one shape.
"""

from __future__ import annotations

from control_plane.store.contract import Address, Found, Label, Opened, Store
from control_plane.store.folder import FolderStore
from control_plane.store.keys import new_input_key, new_key, staging_key, thumbnail_key
from control_plane.store.places import open_store
from control_plane.store.staged import BUFFER_BYTES, Staged

__all__ = [
    "BUFFER_BYTES",
    "Address",
    "FolderStore",
    "Found",
    "Label",
    "Opened",
    "Staged",
    "Store",
    "new_input_key",
    "new_key",
    "open_store",
    "staging_key",
    "thumbnail_key",
]

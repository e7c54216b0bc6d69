"""The names of files. Everything below the store's root that has one of these forms is ours; nothing else is touched.

jobs/<job>/<attempt>/<index>-<random>      an artifact
inputs/<user>/<input>-<random>             an uploaded input
<one of the above>.thumbnail               a small picture of it, or nothing at all when none can be made
staging/<job>/<attempt>/<index>-<secret>   on its way in, past us; never served, swept when it is old
checks/<random>                            written, read and deleted again to see whether the store works
"""

from __future__ import annotations

import hashlib
import re
import secrets
from uuid import UUID

THUMBNAIL_SUFFIX = ".thumbnail"
STAGING = "staging/"

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RANDOM = "[0-9a-f]{16}"
_PLACE = f"{_UUID}/[1-9][0-9]{{0,9}}/[0-9]{{1,2}}-{_RANDOM}"
_KEY = re.compile(
    rf"(?:jobs/{_PLACE}|inputs/{_UUID}/{_UUID}-{_RANDOM})(?:\.thumbnail)?|staging/{_PLACE}|checks/{_RANDOM}", re.ASCII
)


def new_key(job_id: UUID, attempt: int, index: int) -> str:
    return f"jobs/{job_id}/{attempt}/{index}-{secrets.token_hex(8)}"


def new_input_key(user_id: UUID, input_id: UUID) -> str:
    return f"inputs/{user_id}/{input_id}-{secrets.token_hex(8)}"


def new_check_key() -> str:
    return f"checks/{secrets.token_hex(8)}"


def thumbnail_key(key: str) -> str:
    """Of the small picture of the file under `key`."""
    return key + THUMBNAIL_SUFFIX


def staging_key(job_id: UUID, attempt: int, index: int, token: UUID, sha256: bytes) -> str:
    """Follows from the fence and from what was announced, so it need not be remembered: another lease or another file
    has another, and nobody finds it who does not hold the lease."""
    secret = hashlib.sha256(token.bytes + sha256).hexdigest()[:16]
    return f"{STAGING}{job_id}/{attempt}/{index}-{secret}"


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def checked(key: str) -> str:
    """The key itself. Raises `ValueError` for anything that we did not make."""
    if not is_key(key):
        raise ValueError(f"not a key of this store: {key!r}")
    return key

"""What a button carries: an action, a job, whose it is, and a small argument, within what every platform takes.

    again:<22 characters of the job's id>:<owner in base 36>:<argument>

The owner is the id of the person on the platform, so a stranger's press is answered without asking anybody. Nothing
in a payload is trusted: whether the presser may see the job is for the API to say.
"""

from __future__ import annotations

import base64
import binascii
import re
from uuid import UUID

import msgspec

BYTES_MAX = 64
"""The least that a platform takes (Telegram)."""
ACTION = re.compile(r"[a-z_]{1,10}")
ARGUMENT = re.compile(r"[A-Za-z0-9_.=-]{0,30}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Payload(msgspec.Struct, frozen=True):
    """A button's meaning."""

    action: str
    job_id: UUID | None = None
    owner: str = ""
    """Who alone may press it; empty: anybody."""
    argument: str = ""


def written(action: str, job_id: UUID | None = None, owner: str = "", argument: str | int = "") -> str:
    """The payload as text."""
    assert ACTION.fullmatch(action), action
    assert ARGUMENT.fullmatch(str(argument)), argument
    job = base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=") if job_id is not None else ""
    text = f"{action}:{job}:{_base36(owner)}:{argument}".rstrip(":")
    assert len(text) <= BYTES_MAX, text
    return text


def read(text: str) -> Payload | None:
    """The meaning of a payload; None for anything that is none of ours."""
    parts = text.split(":")
    if len(parts) > 4 or not text.isascii() or len(text) > 100:
        return None
    action, job, owner, argument = (*parts, "", "", "")[:4]
    if not ACTION.fullmatch(action) or not ARGUMENT.fullmatch(argument) or not re.fullmatch(r"-?[0-9a-z]{0,13}", owner):
        return None
    try:
        job_id = UUID(bytes=base64.urlsafe_b64decode(job + "==")) if job else None
        return Payload(action, job_id, str(int(owner, 36)) if owner else "", argument)
    except (ValueError, binascii.Error):
        return None


def _base36(number: str) -> str:
    """A platform's id, which is a whole number, shorter."""
    if not number:
        return ""
    value, digits = abs(int(number)), ""
    while value or not digits:
        value, digit = divmod(value, 36)
        digits = _DIGITS[digit] + digits
    return ("-" if int(number) < 0 else "") + digits

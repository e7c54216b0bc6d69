"""Where a message is, as the text that conversations keep: nothing else has to be remembered, by anybody, to edit it.

    CHANNEL/MESSAGE                   a message of its own, or a person's
    CHANNEL/MESSAGE/ENDS/TOKEN        an answer to an interaction, which its token can edit until then

The token of an interaction that has no message yet stands with the message 0. A message that may be sent again after a
crash carries a nonce made of its key: the platform takes the same nonce within some minutes for the same message.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

NONCE_BYTES = 12
"""As hex within the 25 characters that the platform takes."""


class Address(NamedTuple):
    """A message, or where one will be."""

    channel: int
    message: int = 0
    ends_at: float = 0.0
    """From when on the token is worth nothing, in seconds since 1970."""
    token: str = ""

    def __str__(self) -> str:
        place = f"{self.channel}/{self.message}"
        return f"{place}/{self.ends_at:.0f}/{self.token}" if self.token else place

    def lives(self, now: float) -> bool:
        """Whether its token is of use."""
        return bool(self.token) and now < self.ends_at


def read(text: str) -> Address | None:
    """None for what is no address, such as none at all."""
    channel, message, ends_at, token = (*text.split("/", 3), "", "", "", "")[:4]
    try:
        return Address(int(channel), int(message or 0), float(ends_at or 0.0), token)
    except ValueError:
        return None


def nonce(conversation: str, key: str) -> str:
    """The same for the same message, however often it is sent."""
    return hashlib.blake2b(f"{conversation} {key}".encode(), digest_size=NONCE_BYTES).hexdigest()

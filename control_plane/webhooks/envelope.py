"""What a webhook message looks like and when it is tried again, after Standard Webhooks 1.0.

The signature is over `id.timestamp.body`, once with each secret that is in force, so that a receiver may change over
within the time that both are. The id is the same in every attempt at a message, the timestamp is the attempt's. Pure.
"""

from __future__ import annotations

import base64
import hmac
import random
import secrets
from collections.abc import Sequence
from uuid import UUID

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
"""The standard allows 24 to 64."""
RETRY_SECONDS = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""From one attempt to the next: the schedule of the standard, a little more than three days in all."""
JITTER = 0.1
"""Up to this share later, so that what failed together does not come back together."""
RETRY_AFTER_MAX_SECONDS = 86_400
USER_AGENT = "Tessera-Webhooks/1"
GONE = 410
"""The receiver wants no more of this, says the standard."""


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """As the receiver's library takes it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def message_id(delivery_id: UUID) -> str:
    """The `webhook-id`."""
    return f"msg_{delivery_id.hex}"


def headers(delivery_id: UUID, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Those of a request; `timestamp` is in seconds since 1970, `keys` the secrets in force."""
    identifier = message_id(delivery_id)
    signed = f"{identifier}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def retry_seconds(step: int, retry_after: str | None = None) -> float | None:
    """How long to wait after the attempt at this place of the schedule (0 is the first) has failed; None: no more. What
    the receiver asks for with `Retry-After` counts when it is more, up to a day; a date there is not understood."""
    if step + 1 >= len(RETRY_SECONDS):
        return None
    asked = min(int(retry_after), RETRY_AFTER_MAX_SECONDS) if _is_number(retry_after) and retry_after else 0
    return max(RETRY_SECONDS[step + 1], float(asked)) * (1.0 + random.random() * JITTER)


def is_success(status: int) -> bool:
    return 200 <= status < 300


def _is_number(text: str | None) -> bool:
    return text is not None and len(text) <= 9 and text.isascii() and text.isdigit()

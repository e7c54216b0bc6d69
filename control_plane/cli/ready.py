"""Whether a control plane on this machine answers."""

from __future__ import annotations

import urllib.request

ANSWER_SECONDS = 2.0


def answers(url: str) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):  # noqa: S310 - our own address
            return True
    except OSError:
        return False

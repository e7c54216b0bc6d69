"""A slot that the control plane has quarantined, since it failed several jobs in a row: when it may prove itself.

It does so by a picture of its own, drawn by an engine that was started anew. The first try comes soon, and every
further quarantine without a job done in between doubles the wait: an engine that draws the test picture and fails real
orders must not go on eating them.
"""

from __future__ import annotations

FIRST_SECONDS = 30.0
CAP_SECONDS = 3_600.0


class Distrust:
    def __init__(self, first_seconds: float = FIRST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self.is_on = False
        """The slot is quarantined and has not proven itself."""
        self.is_proven = False
        """It has, and the control plane does not know yet."""
        self._times = 0
        self._due_at = 0.0

    def begin(self, now: float) -> None:
        """The control plane says that the slot is quarantined, and that not for want of news from us."""
        if not self.is_on and not self.is_proven:
            self._due_at = now + min(CAP_SECONDS, self._first_seconds * 2.0 ** min(self._times, 30))
            self.is_on = True
            self._times += 1

    def wait_seconds(self, now: float) -> float:
        return max(0.0, self._due_at - now) if self.is_on else 0.0

    def failed(self, now: float) -> None:
        """The picture did not succeed."""
        self._due_at = now + self._first_seconds

    def proven(self) -> None:
        self.is_on, self.is_proven = False, True

    def told(self) -> None:
        """The control plane has heard of the proof."""
        self.is_proven = False

    def forget(self) -> None:
        """A job was done."""
        self._times = 0

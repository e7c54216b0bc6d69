"""Nobody's fault who asks: what we cannot do at the moment, or ever should have."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


class Internal(TesseraError):
    """Something broke on our side.

    The request id names the entry in the operator's log. Trying again may help.
    """


class Paused(TesseraError):
    """The operator has paused this.

    Nothing is lost; try again later.
    """

    slug, status = "paused", 503


class DiskLow(TesseraError):
    """The disk is nearly full, so nothing new is accepted."""

    slug, status = "disk-low", 503


class Unavailable(TesseraError):
    """The database does not answer.

    The service cannot reach it, or it is too busy. Try again in a moment.
    """

    slug, status = "unavailable", 503

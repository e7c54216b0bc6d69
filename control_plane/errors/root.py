"""The root of the tree, and what every kind has: a slug, a status, a title, a sentence for its reader."""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class Rate(NamedTuple):
    """Where somebody's requests stand; told with answers and with refusals."""

    name: str
    """`submits` or `reads`."""
    per_minute: int
    left: int
    """Requests that are allowed right now."""
    busy_seconds: float
    """Until the whole rate is free again."""


class TesseraError(Exception):
    """Something went wrong."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, retry_after: float | None = None, **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which asking again makes sense; sent as Retry-After."""
        self.fields = fields
        self.rate: Rate | None = None
        """Where the rate stands that this request was counted by, if it was."""

    @classmethod
    def title(cls) -> str:
        return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")

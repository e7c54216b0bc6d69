"""Twins: the user in whose name the test keys of a user order, so that nothing of a test ever touches anything real.

A twin has its user's id but for the version (8 instead of 7; RFC 9562 leaves the meaning of version 8 to us). So it is
told from its id alone, whoever holds it, and that of a user is found without looking. Constraints keep it so
(`0009_sandbox.sql`).
"""

from __future__ import annotations

from uuid import UUID

_VERSION_SHIFT = 76
_TEST_VERSION = 8


def is_test(user_id: UUID) -> bool:
    """Whether this user is a twin."""
    return user_id.int >> _VERSION_SHIFT & 0xF == _TEST_VERSION


def twin(user_id: UUID) -> UUID:
    """The id of a user's twin, whether it has been made or not; a twin is its own."""
    return UUID(int=user_id.int & ~(0xF << _VERSION_SHIFT) | _TEST_VERSION << _VERSION_SHIFT)

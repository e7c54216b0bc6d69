"""The operator's command line; a command sets up logging for its process, and here the process goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.fixtures.operator import data_dir, say, tell

__all__ = ["data_dir", "say", "tell"]


@pytest.fixture(autouse=True)
def _logging_ends_with_the_command() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()

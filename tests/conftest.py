"""Shared fixtures by subject; a developer's own TESSERA_* settings must not leak into the tests."""

from __future__ import annotations

import os

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.queue",
    "tests.fixtures.worker",
    "tests.fixtures.api",
    "tests.fixtures.people",
    "tests.fixtures.money",
]

for _name in [name for name in os.environ if name.startswith("TESSERA_") and not name.startswith("TESSERA_TEST_")]:
    del os.environ[_name]

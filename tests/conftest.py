"""Shared fixtures by subject; neither a developer's own TESSERA_* settings nor signals that their shell has us ignore
must leak into the tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

from tests.fixtures.outcomes import EXPLORES

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.queue",
    "tests.fixtures.large",
    "tests.fixtures.worker",
    "tests.fixtures.api",
    "tests.fixtures.receiver",
    "tests.fixtures.webhooks",
    "tests.fixtures.people",
    "tests.fixtures.money",
    "tests.fixtures.leavers",
    "tests.fixtures.bucket",
    "tests.fixtures.chats",
    "tests.fixtures.browsers",
    "tests.fixtures.providers",
]

for _name in [name for name in os.environ if name.startswith("TESSERA_") and not name.startswith("TESSERA_TEST_")]:
    del os.environ[_name]

# Whoever is started in the background by a shell ignores Ctrl-C, and so does all that it starts itself.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tessera", deadline=None, derandomize=not EXPLORES, print_blob=True)
settings.load_profile("tessera")

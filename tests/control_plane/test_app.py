"""What the process asks of the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMITS = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from control_plane import app
print(app.connections_max(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [(256, 2_000, "1488 2000 2000"), (256, 400, "200 400 400"), (256, 12_000, "10000 10512 12000")],
)
def test_as_many_clients_are_served_as_the_system_allows_open_files(soft: int, hard: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITS.format(soft=soft, hard=hard)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == said

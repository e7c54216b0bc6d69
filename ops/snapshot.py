"""The reviewed picture of the schema: `sql/schema.sql` is what the sum of the migrations makes.

It is never executed. `make snapshot` writes it and a test compares it, so a change of the schema is read as one.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from control_plane import embedded, migrate

SCHEMA = Path(__file__).parents[1] / "sql" / "schema.sql"
NOISE = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*"
    r"|CREATE SCHEMA public;|COMMENT ON SCHEMA public .*)\n",
    re.MULTILINE,
)
HEAD = "-- The sum of sql/migrations, written by `make snapshot` for reading; never executed.\n\n"


def dump(url: str) -> str:
    """The schema of that database, without what depends on the day or the machine."""
    command = [str(embedded.binaries() / "pg_dump"), "--schema-only", "--no-owner", "--schema=public", url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    body = NOISE.sub("", ran.stdout)
    return HEAD + re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.start(Path(folder), {"fsync": "off"})
        try:
            migrate.migrate(server.owner_url)
            SCHEMA.write_text(dump(server.owner_url))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

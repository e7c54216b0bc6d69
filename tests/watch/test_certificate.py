"""The certificate of the public address: for how long it is good, whether it is trusted, and the metric of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from control_plane import metrics
from control_plane.database import Database
from control_plane.settings import Settings
from control_plane.store.disk import Disk
from control_plane.watch import certificate
from control_plane.watch.troubles import certificate_trouble
from control_plane.watch.watcher import Watcher
from tests.fixtures.certificates import Certificates

HOST = "localhost"
HOUR_SECONDS = 3_600.0


@asynccontextmanager
async def answering(made: Certificates) -> AsyncIterator[int]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=made.server)
    async with server:
        yield server.sockets[0].getsockname()[1]


def exported() -> float:
    """What the scrape of this process says of that host."""
    [line] = [one for one in metrics.exposition().decode().splitlines() if f'timestamp_seconds{{host="{HOST}"}}' in one]
    return float(line.split()[1])


async def test_its_end_is_told_and_one_that_nobody_trusts_has_ended(database_url: str, tmp_path: Path) -> None:
    made = Certificates(tmp_path, HOST)
    database = Database(database_url, size=2)
    await database.open()
    try:
        async with answering(made) as port:
            address = f"https://{HOST}:{port}"
            trusted = Settings(data_dir=tmp_path, public_url=address, tls_authority=tmp_path / "certificate.pem")
            foreign = Settings(data_dir=tmp_path, public_url=address)
            found = (await Watcher(database, trusted, Disk(trusted)).facts()).certificate
            assert found is not None
            assert found.days is not None
            assert 0 < found.days < 1 / 24
            assert abs(exported() - datetime.now(UTC).timestamp() - HOUR_SECONDS) < 60
            assert "ends in 0 days" in str(certificate_trouble(found))

            lost = (await Watcher(database, foreign, Disk(foreign)).facts()).certificate
            assert lost is not None
            assert (lost.days, exported()) == (None, 0.0)
            assert "does not answer by TLS as browsers want it" in str(certificate_trouble(lost))
        assert await certificate.look(Settings(data_dir=tmp_path), datetime.now(UTC)) is None
    finally:
        await database.close()

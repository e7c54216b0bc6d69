"""Large files of an agent whose control plane knows nothing of buckets yet."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from agent import credential
from agent.client import connect
from agent.engine import Output
from agent.transfer import Uploads
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.worker import DIRECT_BYTES_MIN, ClaimRequest, SlotClaim
from tests.fixtures.agent import ABLE, SECRET, order
from tests.standins.control_plane import control_plane


async def test_an_older_control_plane_gets_large_files_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_bytes(b"x" * DIRECT_BYTES_MIN)
    async with control_plane() as plane, connect(plane.url, SECRET) as client:
        plane.secret_sha256 = credential.secret_sha256(SECRET)
        job_id = await plane.submit(order("large"))
        slots = [SlotClaim(slot=0, capabilities=[ABLE])]
        [lease] = (
            await client.claim(ClaimRequest(claim_id=uuid4(), protocol=PROTOCOL_VERSION, slots=slots, wait=1.0))
        ).leases
        sent = await Uploads(client).send(lease, Output(index=0, path=file, mime_type="image/png"))
        assert sent == DIRECT_BYTES_MIN
        assert [event.job_id for event in plane.seen("uploaded")] == [job_id]

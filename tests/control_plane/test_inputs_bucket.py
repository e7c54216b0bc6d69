"""Inputs in a bucket: taken in, handed out and taken away on a real S3 server."""

from __future__ import annotations

from pathlib import Path

from control_plane.wire.worker import LEASE_TOKEN_HEADER
from tests.fixtures.bucket import Bucket
from tests.fixtures.pictures import decoded
from tests.fixtures.uploads import PATH, uploaded
from tests.fixtures.worker import attempt, serving


async def test_an_input_lies_in_the_bucket_until_it_is_deleted(
    bucket: Bucket, database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path, artifacts_url=bucket.url) as service:
        view = await uploaded(service)
        [name] = bucket.names()
        assert name.startswith(f"some/prefix/inputs/{service.user_id}/{view['id']}-")
        shown = await service.get(view["url"], Range="bytes=0-7")
        assert (shown.status, shown.body) == (206, b"\x89PNG\r\n\x1a\n")
        lease = await service.leased(input_image=view["id"])
        sent = {LEASE_TOKEN_HEADER: str(lease.token)}
        got = await service.hands.request("GET", f"{attempt(lease)}/inputs/0", sent)
        assert (got.status, decoded(got.body).size) == (200, (96, 64))
        await service.hands.fail(lease)
        assert (await service.as_customer(f"{PATH}/{view['id']}", "DELETE")).status == 204
        assert bucket.names() == []

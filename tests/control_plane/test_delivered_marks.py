"""What is delivered says for machines that it was made by AI, and of its order as much as its customer wants."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from PIL import Image

from control_plane.wire.worker import Claimed, Lease
from tests.fixtures.marks import marked
from tests.fixtures.testcard import ran, started
from tests.fixtures.worker import Service, claim

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
SECRET = "a wish that nobody else may read"


def _xmp(content: bytes, mime_type: str) -> bytes:
    """The packet, found by other means than the service's own."""
    if mime_type.startswith("image/"):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            packet: bytes | str = picture.info["xmp"]
            return packet if isinstance(packet, bytes) else packet.encode()
    at = 0
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        if name == b"uuid" and content[at + 8 : at + 24] == MP4_XMP:
            return content[at + 24 : at + length]
        at += length
    raise AssertionError("no packet")


def _said(content: bytes, mime_type: str) -> dict[str, str]:
    """Every element of the packet with a text, by its name without the namespace."""
    root = ElementTree.fromstring(_xmp(content, mime_type))
    assert [element.text for element in root.iter(SOURCE_TYPE)] == [TRAINED]
    return {element.tag.partition("}")[2]: element.text for element in root.iter() if element.text}


async def _leased(service: Service, **fields: object) -> Lease:
    """A job of either kind, started."""
    job_id = await service.order(prompt=SECRET, **fields)
    abilities = [{"kind": kind, "model": "testcard"} for kind in ("image", "video")]
    body = {**claim(), "slots": [{"slot": 0, "capabilities": abilities}]}
    claimed = msgspec.json.decode((await service.hands.call("/claim", body)).body, type=Claimed)
    [lease] = claimed.leases
    assert lease.job_id == job_id
    await service.hands.start(lease)
    return lease


async def _delivered(service: Service, folder: Path, **fields: object) -> tuple[dict[str, Any], bytes, str]:
    """A job that the built-in engine has made, and its file as it is downloaded."""
    lease = await _leased(service, **fields)
    async with started() as engine:
        [output] = (await ran(engine, lease.spec, folder)).outputs
    assert output.made is not None
    assert (await service.hands.upload(lease, output.path.read_bytes())).status == 200
    assert (await service.hands.complete(lease, provenance=output.made)).json["state"] == "succeeded"
    job = await service.job(lease.job_id)
    [artifact] = job["artifacts"]
    return job, (await service.get(artifact["url"])).body, artifact["mime_type"]


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_a_delivered_file_carries_the_mark_and_what_it_was_made_with(
    service: Service, tmp_path: Path, kind: str
) -> None:
    fields: dict[str, object] = {"kind": "video", "frames": 2, "fps": 2} if kind == "video" else {}
    job, content, mime_type = await _delivered(service, tmp_path, **fields)
    said = _said(content, mime_type)
    assert said["AIPromptInformation"] == SECRET
    assert f'"seed":{job["seed"]}' in said["order"]
    assert '"engine":"testcard"' in said["provenance"]
    assert job["provenance"]["engine"] == "testcard"
    assert job["provenance"]["seeds"] == [job["seed"]]
    assert "pillow" in job["provenance"]["libraries"]


async def test_who_opts_out_gets_the_mark_and_nothing_else(service: Service, tmp_path: Path) -> None:
    job, content, mime_type = await _delivered(service, tmp_path, embed_metadata=False)
    assert set(_said(content, mime_type)) == {"CreatorTool", "DigitalSourceType"}
    for hidden in (SECRET, str(job["seed"]), "lighthouse", "pillow"):
        assert hidden.encode() not in content
    assert job["provenance"]["engine"] == "testcard", "its customer still learns how to make it again"


@pytest.mark.parametrize(("form", "mime_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
async def test_a_file_without_the_mark_is_refused_and_with_it_delivered_as_it_is(
    service: Service, form: str, mime_type: str
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 24), "teal").save(out, form)
    lease = await service.leased()
    refused = await service.hands.upload(lease, out.getvalue())
    assert (refused.status, refused.code) == (422, "unmarked")
    whole = marked(out.getvalue(), mime_type)
    assert (await service.hands.upload(lease, whole)).status == 200
    await service.hands.complete(lease)
    [artifact] = (await service.job(lease.job_id))["artifacts"]
    delivered = (await service.get(artifact["url"])).body
    assert delivered == whole
    assert set(_said(delivered, mime_type)) == {"CreatorTool", "DigitalSourceType"}

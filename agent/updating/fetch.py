"""What the control plane hands out to anybody: which agent belongs to it, and the files, which must hash as it says."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from pathlib import Path

import aiohttp
import msgspec

from agent.authority import trusting
from agent.credential import Credential
from agent.updating import UpdateFailed
from control_plane.wire.release import INSTALL_PATH, AgentRelease

ANSWER_SECONDS = 60.0
FILE_BYTES_MAX = 64 * 1024 * 1024
REQUIREMENTS = "requirements.txt"


async def release(credential: Credential) -> AgentRelease:
    """Which agent the control plane wants. Raises `UpdateFailed`."""
    try:
        return msgspec.json.decode(await _get(credential, "agent.json"), type=AgentRelease)
    except msgspec.DecodeError as error:
        raise UpdateFailed(f"{credential.url} does not say which agent it wants ({error}). Is it a Tessera?") from error


async def files(credential: Credential, wanted: AgentRelease, folder: Path) -> None:
    """The wheel and its requirements into `folder`. Raises `UpdateFailed`; what hashes wrong is not kept."""
    for name, sha256 in ((wanted.wheel, wanted.wheel_sha256), (REQUIREMENTS, wanted.requirements_sha256)):
        content = await _get(credential, name)
        if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), sha256):
            raise UpdateFailed(
                f"{name} is not what the control plane announced (its SHA-256 differs). Nothing was changed. Try again;"
                " if it stays so, tell the operator."
            )
        (folder / name).write_bytes(content)


async def _get(credential: Credential, name: str) -> bytes:
    address, content = f"{credential.url}{INSTALL_PATH}/{name}", bytearray()
    connector = aiohttp.TCPConnector(ssl=trusting(credential.authority))
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            aiohttp.ClientSession(connector=connector) as session,
            session.get(address, allow_redirects=False) as response,
        ):
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > FILE_BYTES_MAX:
                    raise UpdateFailed(f"{address} does not end; that is no file of an agent.")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = str(error) or "no answer in time"
        raise UpdateFailed(f"{address} could not be fetched ({why}). Nothing was changed; try again later.") from error
    if response.status != 200:
        raise UpdateFailed(f"{address} answered with {response.status}: {_detail(content)}")
    return bytes(content)


def _detail(content: bytes | bytearray) -> str:
    try:
        told = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return "that is no control plane that hands out agents"
    return str(told.get("detail") or told.get("title") or "") if isinstance(told, dict) else ""

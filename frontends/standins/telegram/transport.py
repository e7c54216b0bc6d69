"""How packets lie in a TCP stream: abridged, intermediate, and either of them obfuscated.

The client's first bytes say which (https://core.telegram.org/mtproto/mtproto-transports): 0xef is abridged, four times
0xee is intermediate, anything else are 64 random bytes with the keys of an AES-CTR stream in each direction.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from pyrogram.crypto import aes

PACKET_BYTES_MAX = 2 * 1024**2
WRITE_SECONDS = 30.0


class Transport:
    """Packets over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._intermediate = False
        self._incoming: Any = None
        self._outgoing: Any = None

    async def open(self) -> None:
        """Read what the client says about itself."""
        first = await self._reader.readexactly(1)
        if first == b"\xef":
            return
        head = first + await self._reader.readexactly(3)
        if head == b"\xee" * 4:
            self._intermediate = True
            return
        nonce = head + await self._reader.readexactly(60)
        back = nonce[55:7:-1]
        self._incoming = (nonce[8:40], bytearray(nonce[40:56]), bytearray(1))
        self._outgoing = (back[:32], bytearray(back[32:48]), bytearray(1))
        self._intermediate = self._clear(nonce)[56:60] == b"\xee" * 4

    async def read(self) -> bytes:
        """The next packet. Raises ConnectionError when it is none, IncompleteReadError at the end."""
        if self._intermediate:
            length = int.from_bytes(await self._bytes(4), "little")
        else:
            words = (await self._bytes(1))[0]
            length = 4 * (int.from_bytes(await self._bytes(3), "little") if words == 0x7F else words)
        if length > PACKET_BYTES_MAX:
            raise ConnectionError(f"a packet of {length} bytes")
        return await self._bytes(length)

    async def write(self, packet: bytes) -> None:
        framed = self._framed(packet)
        self._writer.write(bytes(aes.ctr256_encrypt(framed, *self._outgoing)) if self._outgoing else framed)
        async with asyncio.timeout(WRITE_SECONDS):
            await self._writer.drain()

    def abort(self) -> None:
        """Break the connection at once."""
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    def _framed(self, packet: bytes) -> bytes:
        if self._intermediate:
            return struct.pack("<I", len(packet)) + packet
        words = len(packet) // 4
        return (bytes([words]) if words < 0x7F else b"\x7f" + words.to_bytes(3, "little")) + packet

    async def _bytes(self, count: int) -> bytes:
        return self._clear(await self._reader.readexactly(count))

    def _clear(self, data: bytes) -> bytes:
        return bytes(aes.ctr256_decrypt(data, *self._incoming)) if self._incoming else data

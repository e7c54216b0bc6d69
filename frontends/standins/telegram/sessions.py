"""MTProto sessions: the encrypted envelope, message numbers, and what is done with what a client sends.

A client has a main session and another for files, each of one connection at a time. A session outlives its connection:
what is pushed meanwhile waits, and is sent when the client comes back with the same session and has introduced itself.
A packet holds one message or a container of them; each request gets a task of its own, as the genuine server answers
out of order. What the requests mean is known by `answer` alone, which the wire hands in.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from pyrogram.crypto import aes
from pyrogram.crypto.mtproto import kdf
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl
from pyrogram.raw.core import Int, Long, Message, MsgContainer

from frontends.standins.faults import Cut, Unanswered
from frontends.standins.telegram.keys import key_id
from frontends.standins.telegram.transport import Transport

Answering = Callable[["Session", Any], Awaitable[Any]]
"""The answer to a request: a TL object, or bytes that are one already."""

PUSHES_WAITING_MAX = 1000
UNKNOWN_KEY = struct.pack("<i", -404)
SALT_ERROR = 48


class Session:
    def __init__(self, auth_key: bytes, session_id: bytes, salt: int, media: bool) -> None:
        self.transport: Transport | None = None
        """None while the client is away."""
        self.auth_key = auth_key
        self.media = media
        """Of the port for files, where no updates go."""
        self.layer: int | None = None
        """Known once the client has introduced itself; before, it gets no updates."""
        self._session_id = session_id
        self._salt = salt
        self._sent = 0
        self._last_id = 0
        self._writing = asyncio.Lock()
        self._waiting: deque[bytes] = deque(maxlen=PUSHES_WAITING_MAX)

    @property
    def live(self) -> bool:
        """Whether updates reach the client now."""
        return self.transport is not None and self.layer is not None

    def attach(self, transport: Transport) -> None:
        """The client is here, by this connection; it introduces itself anew."""
        self.abort()
        self.transport, self.layer = transport, None

    def detach(self, transport: Transport) -> None:
        if self.transport is transport:
            self.transport = None

    def abort(self) -> None:
        """Break the connection."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    async def push(self, body: bytes) -> None:
        """Send what nobody asked for, now or when the client is back."""
        self._waiting.append(body)
        await self._flush()

    async def _flush(self) -> None:
        while self.live and self._waiting:
            body = self._waiting.popleft()
            try:
                await self._send(body, answers=False)
            except (ConnectionError, TimeoutError):
                self._waiting.appendleft(body)
                self.abort()

    async def handle(self, packet: bytes, tasks: asyncio.TaskGroup, answer: Answering) -> None:
        """Take in one decrypted packet."""
        message = Message.read(BytesIO(packet[16:]))
        if packet[:8] != struct.pack("<q", self._salt):
            await self._correct_salt(message)
            return
        for one in message.body.messages if isinstance(message.body, MsgContainer) else [message]:
            tasks.create_task(self._take(one, answer))

    async def _take(self, message: Any, answer: Answering) -> None:
        """Never raises: a broken connection concerns the connection's own reader."""
        body = message.body
        try:
            if isinstance(body, tl.MsgsAck):
                return
            if isinstance(body, fn.Ping | fn.PingDelayDisconnect):
                await self._send(tl.Pong(msg_id=message.msg_id, ping_id=body.ping_id).write(), content=False)
                return
            said = await answer(self, self._unwrapped(body))
            raw = said if isinstance(said, bytes) else said.write()
            await self._send(bytes(Int(tl.RpcResult.ID, False)) + bytes(Long(message.msg_id)) + raw)
            await self._flush()
        except Unanswered:
            return
        except (Cut, ConnectionError, TimeoutError):
            self.abort()

    def _unwrapped(self, body: Any) -> Any:
        """What is asked inside invokeWithLayer(initConnection(...))."""
        while isinstance(body, fn.InvokeWithLayer | fn.InitConnection | fn.InvokeWithoutUpdates):
            if isinstance(body, fn.InvokeWithLayer):
                self.layer = body.layer
            body = body.query
        return body

    async def _correct_salt(self, message: Any) -> None:
        """A client starts with any salt and is told the right one."""
        correction = tl.BadServerSalt(
            bad_msg_id=message.msg_id,
            bad_msg_seqno=message.seq_no,
            error_code=SALT_ERROR,
            new_server_salt=self._salt,
        )
        await self._send(correction.write())

    async def _send(self, body: bytes, *, answers: bool = True, content: bool = True) -> None:
        async with self._writing:
            if self.transport is None:
                raise ConnectionError("the client is away")
            sequence = self._sent * 2 + (1 if content else 0)
            self._sent += content
            head = struct.pack("<q", self._salt) + self._session_id
            inner = head + Long(self._next_id(answers)) + Int(sequence) + Int(len(body)) + body
            await self.transport.write(self._sealed(inner))

    def _next_id(self, answers: bool) -> int:
        """Message ids rise with the time; an answer is 1 modulo 4, anything else 3."""
        new = (int(time.time() * 2**32) & ~0b11) | (1 if answers else 3)
        while new <= self._last_id:
            new += 4
        self._last_id = new
        return new

    def _sealed(self, inner: bytes) -> bytes:
        padded = inner + os.urandom(-(len(inner) + 12) % 16 + 12)
        message_key = hashlib.sha256(self.auth_key[96:128] + padded).digest()[8:24]
        return (
            key_id(self.auth_key)
            + message_key
            + bytes(aes.ige256_encrypt(padded, *kdf(self.auth_key, message_key, False)))
        )


def opened(packet: bytes, auth_key: bytes) -> bytes | None:
    """A packet's clear text, or None when it was not sealed with this key."""
    message_key = packet[8:24]
    clear = bytes(aes.ige256_decrypt(packet[24:], *kdf(auth_key, message_key, True)))
    return clear if hashlib.sha256(auth_key[88:120] + clear).digest()[8:24] == message_key else None

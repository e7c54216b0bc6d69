"""The server's side of the key exchange (https://core.telegram.org/mtproto/auth_key).

The server's RSA key is made from labels, so there is no key file and a client in another process can trust the same
key; that is safe because a client is only ever pointed at loopback with it (`reach`). The numbers that the client has
to factor are small, so that a start takes no time.
"""

from __future__ import annotations

import hashlib
import os
import time
from io import BytesIO
from typing import Any

from pyrogram.crypto import aes, prime
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl
from pyrogram.raw.core import Int, Long, TLObject


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _prime(label: str, offset: int) -> int:
    base = int.from_bytes(hashlib.shake_256(label.encode()).digest(128), "big")
    return (base | (3 << 1022) | 1) + offset


RSA_EXPONENT = 65537
_RSA_P, _RSA_Q = _prime("tessera fake dc p", 970), _prime("tessera fake dc q", 60)
RSA_MODULUS = _RSA_P * _RSA_Q
_RSA_SECRET = pow(RSA_EXPONENT, -1, (_RSA_P - 1) * (_RSA_Q - 1))
RSA_FINGERPRINT = int.from_bytes(sha1(RSA_MODULUS.to_bytes(256, "big"))[-8:], "little", signed=True)
"""By which the client finds the key in its table; any number that no other key has."""
SMALL_PRIMES = 1_000_003, 1_000_033
GENERATOR = 3
SECRET_BYTES = 32
"""Short, for speed: nothing here is a secret."""


def key_id(auth_key: bytes) -> bytes:
    return sha1(auth_key)[-8:]


def plain(answer: Any) -> bytes:
    """A packet that is not encrypted, as all of the exchange is."""
    body: bytes = answer.write()
    message_id = (int(time.time() * 2**32) & ~0b11) | 1
    return bytes(8) + bytes(Long(message_id)) + bytes(Int(len(body))) + body


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


class Exchange:
    """One exchange over one connection; `auth_key` is there after its last step."""

    def __init__(self) -> None:
        self.auth_key: bytes | None = None
        self._nonce = 0
        self._server_nonce = _signed(os.urandom(16))
        self._new_nonce = b""
        self._secret = 0
        self._aes: tuple[bytes, bytes] = (b"", b"")

    def step(self, request: Any) -> bytes | None:
        """The answer to a plain message; None when it wants none. Raises ConnectionError when it has no place here."""
        if isinstance(request, fn.ReqPqMulti):
            return plain(self._challenge(request))
        if isinstance(request, fn.ReqDHParams):
            return plain(self._offer(request))
        if isinstance(request, fn.SetClientDHParams):
            return plain(self._agree(request))
        if isinstance(request, tl.MsgsAck):
            return None
        raise ConnectionError(f"unexpected in a key exchange: {type(request).__name__}")

    def _challenge(self, request: Any) -> Any:
        self._nonce = request.nonce
        p, q = SMALL_PRIMES
        return tl.ResPQ(
            nonce=self._nonce,
            server_nonce=self._server_nonce,
            pq=(p * q).to_bytes(8, "big"),
            server_public_key_fingerprints=[RSA_FINGERPRINT],
        )

    def _offer(self, request: Any) -> Any:
        clear = pow(int.from_bytes(request.encrypted_data, "big"), _RSA_SECRET, RSA_MODULUS).to_bytes(255, "big")
        new = self._new_nonce = TLObject.read(BytesIO(clear[20:])).new_nonce.to_bytes(32, "little", signed=True)
        old = self._server_nonce.to_bytes(16, "little", signed=True)
        self._aes = sha1(new + old) + sha1(old + new)[:12], sha1(old + new)[12:] + sha1(new + new) + new[:4]
        self._secret = int.from_bytes(os.urandom(SECRET_BYTES), "big")
        inner = tl.ServerDHInnerData(
            nonce=self._nonce,
            server_nonce=self._server_nonce,
            g=GENERATOR,
            dh_prime=prime.CURRENT_DH_PRIME.to_bytes(256, "big"),
            g_a=pow(GENERATOR, self._secret, prime.CURRENT_DH_PRIME).to_bytes(256, "big"),
            server_time=int(time.time()),
        ).write()
        answer = sha1(inner) + inner
        answer += os.urandom(-len(answer) % 16)
        return tl.ServerDHParamsOk(
            nonce=self._nonce,
            server_nonce=self._server_nonce,
            encrypted_answer=aes.ige256_encrypt(answer, *self._aes),
        )

    def _agree(self, request: Any) -> Any:
        inner = TLObject.read(BytesIO(aes.ige256_decrypt(request.encrypted_data, *self._aes)[20:]))
        shared = pow(int.from_bytes(inner.g_b, "big"), self._secret, prime.CURRENT_DH_PRIME)
        self.auth_key = shared.to_bytes(256, "big")
        proof = sha1(self._new_nonce + b"\x01" + sha1(self.auth_key)[:8])[-16:]
        return tl.DhGenOk(nonce=self._nonce, server_nonce=self._server_nonce, new_nonce_hash1=_signed(proof))

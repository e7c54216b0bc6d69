"""What the service refused, or why it could not be asked: RFC 9457 problems and network faults as sentences."""

from __future__ import annotations

import os

import aiohttp
import msgspec


class ProblemFault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request."""

    pointer: str = ""
    detail: str = ""


class ProblemDocument(msgspec.Struct, frozen=True):
    """The part of an RFC 9457 answer that a program needs."""

    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    errors: list[ProblemFault] = []
    needed: int | None = None
    """Of an order that is too dear, in tokens."""
    available: int | None = None
    resets_at: str | None = None
    category: str | None = None
    """Of an order that is against the rules of conduct."""


class ClientError(Exception):
    """Why a call did not succeed, as a sentence."""

    def __init__(self, sentence: str, *, repeatable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.repeatable = repeatable
        self.retry_after = retry_after
        """Seconds that the service asked us to wait."""


class Unreachable(ClientError):
    """Nobody answered, or not in a way that can be read."""


class Damaged(ClientError):
    """A file arrived other than it was announced."""


class Refused(ClientError):
    """The service answered with a problem."""

    def __init__(self, status: int, document: ProblemDocument, *, repeatable: bool, retry_after: float | None) -> None:
        super().__init__(_sentence(status, document), repeatable=repeatable, retry_after=retry_after)
        self.status = status
        self.document = document


def _sentence(status: int, document: ProblemDocument) -> str:
    """What the service said, or the best that can be said for it."""
    if status in (401,):
        return "The service does not know this API key. Check --key or TESSERA_API_KEY."
    if not document.detail and not document.title:
        return f"The service answered with status {status} and no explanation; is this the right address?"
    faults = [f"{fault.pointer.strip('/') or 'request'}: {fault.detail}" for fault in document.errors]
    tail = f" (request {document.request_id})" if document.request_id and status >= 500 else ""
    return ("\n".join(faults) or document.detail or document.title) + tail


def cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no secure connection is possible: this is not https, or its certificate is wrong"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "no connection"
    if isinstance(error, aiohttp.InvalidURL):
        return "an address begins with http:// or https://"
    return str(error) or type(error).__name__


def passing(error: BaseException) -> bool:
    """Whether the next try may meet something else; a wrong certificate or address stays wrong."""
    return not isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL)

"""Log set-up: for people on a terminal, JSON lines otherwise, always to stderr and never with a secret in it.

A copy of the control plane's on purpose: the programs meet only at the wire. What is hidden here besides its own keys
are the tokens of bots, as both platforms make them.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, ProcessorReturnValue, WrappedLogger

Format = Literal["auto", "json", "console"]

QUIET = ("aiohttp", "asyncio", "hikari", "pyrogram")
"""Third parties that are heard only when something is wrong."""
SECRET = re.compile(
    r"\b(ts[a-z]_)[A-Za-z0-9_\-]{4,}"  # ours
    r"|\b(\d{6,}):[A-Za-z0-9_\-]{20,}"  # Telegram's
    r"|\b([MNO][A-Za-z0-9_\-]{15,})\.[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]{20,}"  # Discord's
    r"|(?<=://)([^\s:/@]*):[^\s/@]+@"
)


def configure(level: str = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Send every log line of the process, ours and other libraries', to `stream` (stderr) in one form."""
    out = stream or sys.stderr
    people = form == "console" or (form == "auto" and out.isatty())
    start: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people),
    ]
    end: list[Processor] = [structlog.processors.format_exc_info, _Redacted(_renderer(people, out))]
    structlog.configure(
        processors=[*start, *end],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
    )
    foreign = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=start,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(foreign)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(text: str) -> str:
    """`text` without anything that looks like a credential."""
    return SECRET.sub(lambda found: f"{next(filter(None, found.groups()), '')}…", text)


class _Redacted:
    """The last step: whatever a line was made of, no secret leaves in it."""

    def __init__(self, renderer: Processor) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> ProcessorReturnValue:
        return redact(str(self._renderer(logger, name, event)))


def _renderer(people: bool, out: TextIO) -> Processor:
    if not people:
        return structlog.processors.JSONRenderer(serializer=_json)
    plain = structlog.dev.plain_traceback  # the richer one prints local variables
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)


def _json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()

"""One request of a bot: who asks, what it says, and the files that came with it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from frontends.standins.discord.bots import Bot
from frontends.standins.discord.limits import REQUEST_BYTES_MAX, Refusal
from frontends.standins.discord.messages import Attachment

if TYPE_CHECKING:
    from frontends.standins.discord.discord import Discord

BODY_BYTES_MAX = 512 * 1024**2


@dataclass
class Call:
    discord: Discord
    request: web.Request
    files: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    """By their numbers in the request."""

    @property
    def now(self) -> float:
        return self.discord.clock.now()

    @property
    def caller(self) -> Bot | None:
        return self.discord.by_token(self.request.headers.get("Authorization", "").removeprefix("Bot "))

    @property
    def bot(self) -> Bot:
        """Who asks. Raises the 401."""
        bot = self.caller
        if bot is None:
            raise Refusal(401, 0, "401: Unauthorized")
        return bot

    def id(self, name: str) -> int:
        """A number from the path."""
        said = self.request.match_info[name]
        if not said.isdecimal():
            raise Refusal(400, 50035, "Invalid Form Body", violation=True)
        return int(said)

    async def body(self) -> Any:
        """What the request says; its files are in `files` then."""
        if not self.request.content_type.startswith("multipart/"):
            return json.loads(await self.request.read() or b"{}")
        said: Any = {}
        async for part in await self.request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "payload_json":
                said = json.loads(await part.text())
            else:
                number = int((part.name or "").removeprefix("files[").rstrip("]"))
                self.files[number] = (part.filename or "file", bytes(await part.read()))
        return said

    def attached(self, data: Any, bytes_max: int) -> dict[int, Attachment]:
        """The files as attachments, by their numbers. Raises the 413."""
        sizes = [len(content) for _, content in self.files.values()]
        if any(size > bytes_max for size in sizes) or sum(sizes) > max(bytes_max, REQUEST_BYTES_MAX):
            raise Refusal(413, 40005, "Request entity too large", violation=True)
        said = {int(one["id"]): one.get("description") or "" for one in data.get("attachments") or []}
        return {number: self.discord.store(*file, said.get(number, "")) for number, file in self.files.items()}


Handler = Callable[[Call], Awaitable[Any]]
Route = tuple[str, str, Handler]
"""Method, path pattern, and what answers; None is a 204."""

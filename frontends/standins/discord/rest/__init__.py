"""Discord's REST API, as far as bots use it, by subject. A route that is missing here is an error of the stand-in, and
loud."""

from __future__ import annotations

from frontends.standins.discord.rest import answers, applications, channels
from frontends.standins.discord.rest.calls import Route

ROUTES: list[Route] = [*applications.ROUTES, *answers.ROUTES, *channels.ROUTES]

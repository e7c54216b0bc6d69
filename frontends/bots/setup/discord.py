"""A bot on Discord, looked at once by REST: whether it is let in, whose application it is, how it may be added, its
commands. It opens no gateway, so nothing of what people do meanwhile is taken from the program that may run it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import hikari

from frontends.bots.discord import commands
from frontends.bots.settings import DiscordSettings
from frontends.bots.setup.found import Found, NotLetIn

PERMISSIONS = (
    hikari.Permissions.VIEW_CHANNEL
    | hikari.Permissions.SEND_MESSAGES
    | hikari.Permissions.SEND_MESSAGES_IN_THREADS
    | hikari.Permissions.ATTACH_FILES
    | hikari.Permissions.EMBED_LINKS
    | hikari.Permissions.READ_MESSAGE_HISTORY
)
"""On a server: what a long video needs, to be told in the channel when the answer to the command has ended."""
AUTHORIZE = "https://discord.com/oauth2/authorize?"
PORTAL = "https://discord.com/developers/applications/{}/bot"


async def look(settings: DiscordSettings) -> Found:
    """Registers its commands, too. Raises `NotLetIn`, and `OSError` when Discord cannot be reached."""
    app = hikari.RESTApp(url=settings.rest_url) if settings.rest_url else hikari.RESTApp()
    await app.start()
    try:
        async with app.acquire(settings.token, hikari.TokenType.BOT) as rest:
            me, application = await rest.fetch_my_user(), await rest.fetch_application()
            if int(application.id) != settings.application_id:
                raise NotLetIn(
                    f"This is the token of application {application.id}, not of {settings.application_id}.",
                    "application_id",
                )
            await rest.set_application_commands(settings.application_id, commands.commands(settings.makes))
    except hikari.UnauthorizedError as error:
        raise NotLetIn(
            "Discord does not know this token. Make a new one at"
            f" {PORTAL.format(settings.application_id)} (Reset Token) and copy it at once.",
            "token",
        ) from error
    except hikari.HTTPError as error:
        raise ConnectionError(str(error)) from error
    finally:
        await app.close()
    return Found(title=me.username, links=_links(settings.application_id), remarks=list(_remarks(application)))


def _links(application_id: int) -> list[tuple[str, str]]:
    server = {
        "client_id": application_id,
        "scope": "bot applications.commands",
        "permissions": int(PERMISSIONS),
        "integration_type": 0,
    }
    person = {"client_id": application_id, "scope": "applications.commands", "integration_type": 1}
    return [
        ("to bring it to a server", AUTHORIZE + urlencode(server)),
        ("to use it everywhere by oneself", AUTHORIZE + urlencode(person)),
    ]


def _remarks(application: hikari.Application) -> Iterator[str]:
    where = PORTAL.format(application.id)
    if application.is_bot_code_grant_required:
        yield f"It asks for a code grant, so the links above do not work: switch that off at {where}."
    if not application.is_bot_public:
        yield f"Only you can add it. If others shall: switch on Public Bot at {where}."

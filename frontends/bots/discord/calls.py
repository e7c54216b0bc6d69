"""Every call of Discord's REST API that a bot makes to show something: once, within its time, nobody mentioned by it.

What a call raises is told in `refusals`. A message goes one of three ways: as the first answer to an interaction, by
the token of one, or in a channel by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hikari
from hikari.api import CommandBuilder
from hikari.impl import AutocompleteChoiceBuilder, ModalActionRowBuilder, RESTClientImpl

from frontends.bots.discord.addresses import Address
from frontends.bots.discord.looks import Look
from frontends.bots.discord.refusals import within

FIRST_SECONDS = 2.5
"""For a first answer, which comes too late after three."""
CALL_SECONDS = 15.0
UPLOAD_SECONDS = 120.0
DIRECT_CHANNELS_KEPT = 5_000
UNMENTIONED: dict[str, Any] = {"mentions_everyone": False, "user_mentions": False, "role_mentions": False}


class Calls:
    """Of one bot."""

    def __init__(self, rest: RESTClientImpl, application_id: int) -> None:
        self._rest = rest
        self._application_id = application_id
        self._direct: dict[int, int] = {}
        """Channels with people, by their ids."""

    # ------------------------------------------------------------------------------------------ first answers

    async def answer(self, interaction_id: int, token: str, look: Look, *, hidden: bool) -> int:
        """The first answer, as a message: its id."""
        async with within(FIRST_SECONDS):
            told = await self._rest.create_interaction_response(
                interaction_id,
                token,
                hikari.ResponseType.MESSAGE_CREATE,
                look.text,
                components=look.rows,
                flags=_flags(hidden),
                **UNMENTIONED,
            )
        return int(told.interaction.response_message_id or 0)

    async def promise(self, interaction_id: int, token: str, *, hidden: bool) -> int:
        """Says that a message will come: its id."""
        async with within(FIRST_SECONDS):
            told = await self._rest.create_interaction_response(
                interaction_id, token, hikari.ResponseType.DEFERRED_MESSAGE_CREATE, flags=_flags(hidden)
            )
        return int(told.interaction.response_message_id or 0)

    async def nod(self, interaction_id: int, token: str) -> None:
        """Says that a press was seen, and shows nothing."""
        async with within(FIRST_SECONDS):
            await self._rest.create_interaction_response(
                interaction_id, token, hikari.ResponseType.DEFERRED_MESSAGE_UPDATE
            )

    async def ask(
        self, interaction_id: int, token: str, title: str, form: str, rows: Sequence[ModalActionRowBuilder]
    ) -> None:
        """Opens a window."""
        async with within(FIRST_SECONDS):
            await self._rest.create_modal_response(interaction_id, token, title=title, custom_id=form, components=rows)

    async def suggest(self, interaction_id: int, token: str, choices: Sequence[AutocompleteChoiceBuilder]) -> None:
        """Suggestions for what somebody is typing."""
        async with within(FIRST_SECONDS):
            await self._rest.create_autocomplete_response(interaction_id, token, choices)

    # ------------------------------------------------------------------------------------------ by a token

    async def answered(self, token: str) -> hikari.Message:
        """What stands as the answer to an interaction: the message whose button was pressed when it was a nod."""
        async with within(CALL_SECONDS):
            return await self._rest.fetch_interaction_response(self._application_id, token)

    async def edit_by_token(self, address: Address, look: Look) -> None:
        async with within(_seconds(look)):
            await self._rest.edit_webhook_message(
                self._application_id, address.token, address.message, **_shown(look), **UNMENTIONED
            )

    async def delete_by_token(self, address: Address) -> None:
        async with within(CALL_SECONDS):
            await self._rest.delete_webhook_message(self._application_id, address.token, address.message)

    async def follow(self, token: str, look: Look, *, hidden: bool) -> int:
        """One more message: its id. The platform knows no duplicates of these."""
        async with within(_seconds(look)):
            told = await self._rest.execute_webhook(
                self._application_id, token, flags=_flags(hidden), **_shown(look), **UNMENTIONED
            )
        return int(told.id)

    # ------------------------------------------------------------------------------------------ in a channel

    async def write(self, channel: int, look: Look, nonce: str, reply_to: int = 0) -> int:
        """A message of its own: its id. Written twice with one nonce it is one."""
        async with within(_seconds(look)):
            told = await self._rest.create_message(
                channel,
                **_shown(look),
                nonce=nonce,
                reply=reply_to or hikari.UNDEFINED,
                reply_must_exist=False if reply_to else hikari.UNDEFINED,
                mentions_reply=False,
                **UNMENTIONED,
            )
        return int(told.id)

    async def edit(self, channel: int, message: int, look: Look) -> None:
        async with within(_seconds(look)):
            await self._rest.edit_message(channel, message, **_shown(look), **UNMENTIONED)

    async def delete(self, channel: int, message: int) -> None:
        async with within(CALL_SECONDS):
            await self._rest.delete_message(channel, message)

    async def direct(self, person: int) -> int:
        """The channel with one person alone."""
        if person not in self._direct:
            async with within(CALL_SECONDS):
                channel = await self._rest.create_dm_channel(person)
            while len(self._direct) >= DIRECT_CHANNELS_KEPT:
                del self._direct[next(iter(self._direct))]
            self._direct[person] = int(channel.id)
        return self._direct[person]

    # ------------------------------------------------------------------------------------------ about itself

    async def register(self, commands: Sequence[CommandBuilder]) -> None:
        """These are its commands, and no others."""
        async with within(CALL_SECONDS):
            await self._rest.set_application_commands(self._application_id, commands)

    async def describe(self, said: str) -> None:
        """What stands in its profile."""
        async with within(CALL_SECONDS):
            await self._rest.edit_application(description=said)


def _flags(hidden: bool) -> hikari.MessageFlag:
    return hikari.MessageFlag.EPHEMERAL if hidden else hikari.MessageFlag.NONE


def _shown(look: Look) -> dict[str, Any]:
    shown: dict[str, Any] = {"content": look.text, "components": look.rows}
    return shown | ({"attachments": look.files} if look.files else {})


def _seconds(look: Look) -> float:
    return UPLOAD_SECONDS if look.files else CALL_SECONDS

"""The commands as they are registered: slash commands with typed options, and commands on a message.

They come from the dialogue's table, their descriptions from the catalogue in every language. What is in no menu is not
registered: it is typed as a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hikari
from hikari.api import CommandBuilder
from hikari.impl import AutocompleteChoiceBuilder, ContextMenuCommandBuilder, SlashCommandBuilder

from control_plane.wire.model import ModelView
from frontends.bots.dialogue.commands import COMMANDS, CONTEXT_ACTIONS, Known
from frontends.bots.discord.options import PICTURE, Wished, offered
from frontends.bots.language.catalogue import say
from frontends.bots.language.tongue import FALLBACK, LANGUAGES, tongue

LOCALES: dict[str, tuple[hikari.Locale | str, ...]] = {
    "en": (hikari.Locale.EN_US, hikari.Locale.EN_GB),
    "es": (hikari.Locale.ES_ES, hikari.Locale.ES_LATAM),
    "zh": (hikari.Locale.ZH_CN, hikari.Locale.ZH_TW),
    "pt": (hikari.Locale.PT_BR,),
    "sv": (hikari.Locale.SV_SE,),
}
"""The platform's names of languages, where they are not just the code."""
KINDS = (hikari.ApplicationIntegrationType.GUILD_INSTALL, hikari.ApplicationIntegrationType.USER_INSTALL)
PLACES = (
    hikari.ApplicationContextType.GUILD,
    hikari.ApplicationContextType.BOT_DM,
    hikari.ApplicationContextType.PRIVATE_CHANNEL,
)
TEXT_LENGTH_MAX = 4_000
CHOICES_MAX = 25
NAME_LENGTH_MAX = 100


def commands(makes: str) -> list[CommandBuilder]:
    """Everything that a bot offers which makes this."""
    listed = [_command(known, makes) for known in COMMANDS if known.listed]
    return [*listed, *[_on_message(name) for name in CONTEXT_ACTIONS]]


def suggestions(models: Iterable[ModelView], typed: str) -> list[AutocompleteChoiceBuilder]:
    """Those that fit what was typed so far, by name or title."""
    wanted = typed.strip().lower()
    fitting = [model for model in models if not model.paused and wanted in f"{model.name} {model.title}".lower()]
    return [AutocompleteChoiceBuilder(model.title[:NAME_LENGTH_MAX], model.name) for model in fitting[:CHOICES_MAX]]


def _command(known: Known, makes: str) -> CommandBuilder:
    described = _texts(f"command.{known.name}")
    builder = SlashCommandBuilder(known.name, described[hikari.Locale.EN_US])
    builder.set_description_localizations(described)
    if known.text:
        builder.add_option(_text(known))
    if known.picture:
        builder.add_option(_option(PICTURE, hikari.OptionType.ATTACHMENT))
    for name, wished in offered(known.name, makes).items():
        builder.add_option(_wished(name, wished))
    return builder.set_integration_types(KINDS).set_context_types(PLACES)


def _on_message(name: str) -> CommandBuilder:
    titles = _texts(f"menu.{name}")
    builder = ContextMenuCommandBuilder(hikari.CommandType.MESSAGE, titles[hikari.Locale.EN_US])
    builder.set_name_localizations(titles)
    return builder.set_integration_types(KINDS).set_context_types(PLACES)


def _text(known: Known) -> hikari.CommandOption:
    if known.text == "language":
        choices = [hikari.CommandChoice(name=tongue(code).name, value=code) for code in LANGUAGES]
        return _option(known.text, hikari.OptionType.STRING, choices=choices)
    return _option(known.text, hikari.OptionType.STRING, is_required=known.required, max_length=TEXT_LENGTH_MAX)


def _wished(name: str, wished: Wished) -> hikari.CommandOption:
    choices = [hikari.CommandChoice(name=choice, value=choice) for choice in wished.choices]
    return _option(
        name,
        wished.type,
        choices=choices or None,
        min_value=wished.least,
        max_value=wished.most,
        autocomplete=wished.suggests,
    )


def _option(name: str, type: hikari.OptionType, **fields: Any) -> hikari.CommandOption:
    described = _texts(f"option.{name}")
    return hikari.CommandOption(
        type=type,
        name=name,
        description=described[hikari.Locale.EN_US],
        description_localizations=described,
        **fields,
    )


def _texts(key: str) -> dict[hikari.Locale | str, str]:
    """A sentence in every language, by the platform's names of them."""
    named = {code: LOCALES.get(code, (hikari.Locale(code),)) for code in (FALLBACK, *LANGUAGES)}
    return {locale: say(key, code) for code, locales in named.items() for locale in locales}

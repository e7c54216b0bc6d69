"""Commands as bots register them, how a person finds them in their language, and how typed words become options."""

from __future__ import annotations

import re
from typing import Any, Literal

from frontends.standins.discord.limits import malformed
from frontends.standins.person import Command

CHAT, ON_USER, ON_MESSAGE = 1, 2, 3
SUBCOMMAND, SUBCOMMAND_GROUP, STRING, INTEGER, BOOLEAN, NUMBER, ATTACHMENT = 1, 2, 3, 4, 5, 10, 11
GUILD_INSTALL, USER_INSTALL = 0, 1
NAME = re.compile(r"[-_'\w]{1,32}")
NAME_MAX, DESCRIPTION_MAX, OPTIONS_MAX, CHAT_COMMANDS_MAX, MESSAGE_COMMANDS_MAX = 32, 100, 25, 100, 5
ON: dict[int, Literal["chat", "user", "message"]] = {CHAT: "chat", ON_USER: "user", ON_MESSAGE: "message"}


def check(wanted: list[Any]) -> None:
    """Raises what the platform answers to such a list of commands."""
    for kind, most in ((CHAT, CHAT_COMMANDS_MAX), (ON_MESSAGE, MESSAGE_COMMANDS_MAX), (ON_USER, MESSAGE_COMMANDS_MAX)):
        if sum(command.get("type", CHAT) == kind for command in wanted) > most:
            raise malformed("commands", "APPLICATION_COMMANDS_MAX", f"At most {most} of this type")
    if len({(command["name"], command.get("type", CHAT)) for command in wanted}) < len(wanted):
        raise malformed("name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Names must be unique")
    for command in wanted:
        if command.get("type", CHAT) == CHAT:
            _check_chat(command)
        elif not 1 <= len(command["name"]) <= NAME_MAX or command.get("description"):
            raise malformed("name", "BASE_TYPE_BAD_LENGTH", "A name of 1 to 32 characters, no description")


def _check_chat(command: Any) -> None:
    """A command or an option: the same rules for both."""
    for name in [command["name"], *(command.get("name_localizations") or {}).values()]:
        if not NAME.fullmatch(name) or name != name.lower():
            raise malformed("name", "APPLICATION_COMMAND_INVALID_NAME", f"Command name is invalid: {name}")
    for said in [command.get("description") or "", *(command.get("description_localizations") or {}).values()]:
        if not 1 <= len(said) <= DESCRIPTION_MAX:
            raise malformed("description", "BASE_TYPE_BAD_LENGTH", f"Must be 1 to {DESCRIPTION_MAX} long.")
    options = command.get("options") or []
    if len(options) > OPTIONS_MAX or len(command.get("choices") or []) > OPTIONS_MAX:
        raise malformed("options", "BASE_TYPE_MAX_LENGTH", f"Must be {OPTIONS_MAX} or fewer in length.")
    needed = [bool(option.get("required")) for option in options]
    if needed != sorted(needed, reverse=True):
        raise malformed("options", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options come first")
    for option in options:
        _check_chat(option)


def registered(id: int, application: int, command: Any, guild: str | None) -> dict[str, Any]:
    """A command as the platform tells it."""
    return {
        "id": str(id),
        "application_id": str(application),
        "version": str(id),
        "type": CHAT,
        "default_member_permissions": None,
        "nsfw": False,
        **command,
        "guild_id": guild,
    }


def localized(thing: Any, field: str, locale: str) -> str:
    return str((thing.get(f"{field}_localizations") or {}).get(locale) or thing.get(field) or "")


def shown(command: Any, locale: str) -> Command:
    """As a client lists it."""
    options = tuple(localized(option, "name", locale) for option in command.get("options") or [])
    said = localized(command, "description", locale)
    return Command(localized(command, "name", locale), said, ON[command["type"]], options)


def offered(command: Any, context: int, installed: set[int]) -> bool:
    """Whether it is offered here: by how the bot was installed, and in which kind of place."""
    kinds = command.get("integration_types") or [GUILD_INSTALL]
    contexts = command.get("contexts")
    return bool(installed & set(kinds)) and (contexts is None or context in contexts)


def find(commands: list[Any], name: str, kind: int, locale: str) -> Any:
    """The command of this name, in this language or in none. Raises AssertionError when it is not registered."""
    fitting = [one for one in commands if one["type"] == kind and name in (one["name"], localized(one, "name", locale))]
    assert fitting, f"{name!r} is not registered here; there are {sorted(one['name'] for one in commands)}"
    return fitting[0]


def typed(command: Any, words: str, locale: str) -> list[dict[str, Any]]:
    """Options from what was typed after the name: "a cat count:2" gives the first text option "a cat", and count."""
    options = command.get("options") or []
    if options and options[0]["type"] in (SUBCOMMAND, SUBCOMMAND_GROUP):
        name, _, rest = words.partition(" ")
        chosen = next((one for one in options if name in (one["name"], localized(one, "name", locale))), None)
        assert chosen, f"{command['name']} needs one of {[one['name'] for one in options]}"
        return [{"name": chosen["name"], "type": chosen["type"], "options": typed(chosen, rest, locale)}]
    return filled(command, _split(options, words, locale))


def filled(command: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Options as they are sent. Raises AssertionError when the client would not let them pass."""
    known = {option["name"]: option for option in command.get("options") or []}
    assert set(values) <= set(known), f"/{command['name']} has no {sorted(set(values) - set(known))}"
    missing = [name for name, option in known.items() if option.get("required") and name not in values]
    assert not missing, f"/{command['name']} needs {missing}"
    return [{"name": name, "type": known[name]["type"], "value": _value(known[name], values[name])} for name in values]


def _split(options: list[Any], words: str, locale: str) -> dict[str, Any]:
    names = {called: one["name"] for one in options for called in (one["name"], localized(one, "name", locale))}
    marks = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    parts = re.split(rf"(?:^|(?<=\s))({marks}):", words) if marks else [words]
    values: dict[str, Any] = {names[name]: value.strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)}
    first = next((one["name"] for one in options if one["type"] == STRING), None)
    if parts[0].strip():
        assert first, f"nothing takes the words {parts[0].strip()!r}"
        values.setdefault(first, parts[0].strip())
    return values


def _value(option: Any, value: Any) -> Any:
    if option["type"] in (INTEGER, NUMBER):
        value = int(value) if option["type"] == INTEGER else float(value)
        assert option.get("min_value", value) <= value <= option.get("max_value", value), f"{option['name']}: {value}"
    elif option["type"] == BOOLEAN:
        value = value in (True, "true", "True", "yes")
    elif option["type"] == STRING:
        assert option.get("min_length", 0) <= len(value) <= option.get("max_length", 6000), option["name"]
    choices = [choice["value"] for choice in option.get("choices") or []]
    assert not choices or value in choices, f"{option['name']} is one of {choices}"
    return value

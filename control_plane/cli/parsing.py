"""argparse with the manners of this program: examples in each help, nearest words for misspelt ones, exit code 64."""

from __future__ import annotations

import argparse
import difflib
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

EX_FAILED, EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 1, 64, 69, 78
"""sysexits(3)."""
EX_INTERRUPTED = 130
LIKENESS = 0.5
HELP_COLUMNS = 100

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")

Run = Callable[[argparse.Namespace], int]


class CommandError(Exception):
    """Why a command did nothing, as a sentence that says what to do."""

    def __init__(self, sentence: str, exit_code: int = EX_FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Parser(argparse.ArgumentParser):
    def __init__(self, *, epilog: str = "", description: str = "", **options: Any) -> None:
        super().__init__(
            epilog=epilog,
            description=textwrap.fill(description, HELP_COLUMNS),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            command: Parser = getattr(found, "parser", self)
            known = [option for action in command._actions for option in action.option_strings]
            command.error(f"{rest[0]} is not understood here.{did_you_mean(rest[0], known)}")
        return found

    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"tessera: {_friendly(message)}\nTry: {self.prog} --help\n")


def command(
    commands: Any,
    name: str,
    run: Run,
    *,
    help: str,
    description: str = "",
    examples: str = "",
    json: bool = True,
) -> Parser:
    """Declare one command; `run` gets its arguments."""
    made: Parser = commands.add_parser(
        name,
        help=help,
        description=description or help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{examples}" if examples else "",
    )
    made.set_defaults(run=run, parser=made)
    if json:
        made.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    return made


def noun(commands: Any, name: str, *, help: str) -> Any:
    """Declare a noun, whose verbs are added to what is returned."""
    made: Parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    made.set_defaults(parser=made)
    return made.add_subparsers(metavar="VERB", required=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` when something known is like it, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=LIKENESS)
    return f" Did you mean {found[0]}?" if found else ""


def unknown(noun: str, word: str, known: Sequence[str], *, cure: str = "") -> CommandError:
    """There is no such thing; says what is like it, or what there is, or how to make one."""
    hint = did_you_mean(word, known)
    if not hint and known:
        hint = f" There is {', '.join(sorted(known)[:10])}{' …' if len(known) > 10 else ''}."
    return CommandError(f"There is no {noun} {word}.{hint or (' ' + cure if cure else '')}", EX_USAGE)


def _friendly(message: str) -> str:
    """argparse's words as a sentence, with the nearest choice."""
    if found := _CHOICE.search(message):
        known = [choice.strip().strip("'") for choice in found[2].split(",")]
        return f"{found[1]!r} is not one of {', '.join(known)}.{did_you_mean(found[1], known)}"
    return message[0].upper() + message[1:] + ("" if message.endswith((".", "?")) else ".")

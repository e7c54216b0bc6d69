"""Where an answer comes from: an option of the command line, or a person on a terminal, who is asked until it fits.

A secret never comes from the command line, which every user of the machine can see: its option names a file, `-` for
the next line of standard input. Typed, it is not shown.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from frontends.bots.configuration import ConfigurationError

KEPT = ("data_centre", "rest_url")
"""Options that are about where the platforms are."""
Secret = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+\Z")]


class Questions:
    """`options`: what was given on the command line, by name; None where nothing was. An answer counts until it is
    forgotten."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._answers = {name: given for name, given in options.items() if given is not None}

    @property
    def is_person_there(self) -> bool:
        return sys.stdin.isatty()

    def tell(self, text: str = "") -> None:
        """Something to read: only for people."""
        if self.is_person_there:
            print(text)

    def ask(self, name: str, question: str, kind: Any, *, usual: str = "", hint: str, optional: bool = False) -> Any:
        """An answer of this kind; `hint` says what fits. Raises `ConfigurationError` when nobody can be asked."""
        given = self._answers.get(name)
        if given is not None:
            return self._converted(str(given), kind, hint, f"--{name.replace('_', '-')}")
        if not self.is_person_there:
            if usual or optional:
                return msgspec.convert(usual, kind, strict=False)
            raise ConfigurationError(f"--{name.replace('_', '-')} is missing: {hint}.")
        answer = self._until_it_fits(lambda: input(_prompt(question, usual)).strip() or usual, kind, hint)
        self._answers[name] = answer
        return answer

    def secret(self, name: str, question: str, *, hint: str) -> str:
        """An answer that is not shown. Raises `ConfigurationError`."""
        option = f"--{name.replace('_', '-')}-file"
        if name in self._answers:
            return str(self._answers[name])
        named = self._answers.get(f"{name}_file")
        if named is not None:
            return str(self._converted(_line_of(str(named), option), Secret, hint, option))
        if not self.is_person_there:
            raise ConfigurationError(f"{option} is missing: a file with {hint}, or - for a line of standard input.")
        found: str = self._until_it_fits(lambda: getpass.getpass(f"{question}: ").strip(), Secret, hint)
        self._answers[name] = found
        return found

    def option(self, name: str) -> str | None:
        """What the command line says, for what nobody is asked."""
        given = self._answers.get(name)
        return None if given is None else str(given)

    def forget(self, *names: str) -> None:
        """What was answered to these is not what is wanted: a person is asked again. Without names: to everything."""
        for name in names or [name for name in self._answers if name not in KEPT]:
            self._answers.pop(name, None)
            self._answers.pop(f"{name}_file", None)

    def agrees(self, question: str) -> bool:
        """Whether a person says yes; without one it is no."""
        return self.is_person_there and input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")

    def _until_it_fits(self, ask: Callable[[], str], kind: Any, hint: str) -> Any:
        while True:
            try:
                return self._converted(ask(), kind, hint, "That")
            except ConfigurationError as error:
                print(f"  {error}")

    def _converted(self, text: str, kind: Any, hint: str, what: str) -> Any:
        try:
            return msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError:
            raise ConfigurationError(f"{what} must be {hint}.") from None


def _prompt(question: str, usual: str) -> str:
    end = " " if question.endswith("?") and not usual else ": "
    return f"{question} [{usual}]{end}" if usual else f"{question}{end}"


def _line_of(named: str, option: str) -> str:
    try:
        text = sys.stdin.readline() if named == "-" else Path(named).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{option} names {named}, which cannot be read: {error}.") from error
    return text.strip()

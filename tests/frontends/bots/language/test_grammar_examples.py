"""The law of the grammar: what is understood of a few hundred texts, and what is left."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from frontends.bots.language.grammar import understand
from frontends.bots.language.tongue import LANGUAGES
from frontends.bots.language.wishes import Names, Wishes

EXAMPLES_MIN = 40
NAMES = Names.of(
    {"sdxl": "sdxl", "sdxl-turbo": "sdxl-turbo", "FLUX.1-dev": "flux"},
    {"watercolor": "watercolor", "水彩": "watercolor", "oil painting": "oil-painting", "anime": "anime"},
)


def examples(language: str) -> list[tuple[str, str, Wishes]]:
    lines = (Path(__file__).parent / "examples" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    return [example(line) for line in lines if line and not line.startswith("#")]


def example(line: str) -> tuple[str, str, Wishes]:
    text, _, told = line.partition(" =>")
    prompt, _, wishes = told.rpartition("|")
    pairs = (one.strip().partition("=") for one in wishes.split(";") if one.strip())
    return text, prompt.strip(), Wishes(**{field: value(field, said) for field, _, said in pairs})


def value(field: str, said: str) -> Any:
    if field == "negatives":
        return tuple(said.split(" / "))
    return said if field in {"aspect", "side", "model", "style", "kind"} else ast.literal_eval(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_is_understood_as_the_table_says(language: str) -> None:
    wrong = []
    for text, prompt, wishes in examples(language):
        told = understand(text, language, names=NAMES)
        if (told.prompt, told.wishes) != (prompt, wishes):
            wrong.append(f"{text}\n    {told.prompt!r} {told.wishes}\n    {prompt!r} {wishes}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_echo_is_understood_as_what_it_tells(language: str) -> None:
    for text, _, wishes in examples(language):
        told = understand(text, language, names=NAMES)
        again = understand(told.echo, language, names=NAMES)
        assert (again.wishes, again.prompt, again.echo) == (wishes, "", told.echo), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_examples_and_some_where_nothing_is_understood(language: str) -> None:
    table = examples(language)
    assert len(table) >= EXAMPLES_MIN
    assert sum(not wishes for _, _, wishes in table) >= 8
    assert len({text for text, _, _ in table}) == len(table)

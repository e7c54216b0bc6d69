"""What the stand-ins decide without a connection: paces, buckets, markup, options of commands, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from frontends.standins.discord import commands, components
from frontends.standins.discord.limits import Refusal, Window
from frontends.standins.discord.texts import runs
from frontends.standins.shelf import Shelf
from frontends.standins.telegram import limits

COMMAND: dict[str, Any] = {
    "name": "generate",
    "description": "Makes a picture",
    "description_localizations": {"de": "Macht ein Bild"},
    "options": [
        {"name": "prompt", "description": "What", "type": commands.STRING, "required": True, "max_length": 20},
        {"name": "count", "description": "How many", "type": commands.INTEGER, "min_value": 1, "max_value": 4},
        {"name": "wide", "description": "Wide", "type": commands.BOOLEAN, "name_localizations": {"de": "breit"}},
    ],
}


def test_a_pace_lets_a_burst_pass_and_then_one_after_the_other() -> None:
    paces = limits.Paces()
    for _ in range(limits.PRIVATE_BURST):
        paces.spend(100.0, 42, private=True)
    with pytest.raises(limits.Refusal, match="FLOOD_WAIT_1"):
        paces.spend(100.1, 42, private=True)
    paces.spend(100.1, 43, private=True)
    paces.spend(101.0, 42, private=True)
    for _ in range(2):
        paces.spend(200.0, 7, private=False, count=10)
    with pytest.raises(limits.Refusal, match="FLOOD_WAIT_30"):
        paces.spend(200.0, 7, private=False, count=10)


def test_all_chats_together_bear_thirty_messages_a_second() -> None:
    paces = limits.Paces()
    for chat in range(36):  # 30, and what may come early
        paces.spend(100.0, chat, private=True)
    with pytest.raises(limits.Refusal, match="FLOOD_WAIT_1"):
        paces.spend(100.0, 36, private=True)
    for chat in range(24):
        paces.spend(101.0, 100 + chat, private=True)


def test_a_bucket_fills_call_by_call() -> None:
    window = Window(5, 5.0)
    assert [window.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert (window.left(100.0), window.full_seconds(100.0)) == (0, 5.0)
    assert window.wait_seconds(100.0) == pytest.approx(1.0)
    assert window.left(101.0) == 1
    assert [window.take(101.0), window.take(101.0)] == [True, False]
    assert window.left(200.0) == 5


def test_markdown_is_cut_into_runs() -> None:
    said = "**bold `code`** plain <t:1800000000:R> [site](https://a.example/x) ||secret|| 2*3*4 https://b.example"
    found = [(run.text, set(run.styles), run.url, run.time, run.format) for run in runs(said)]
    assert found == [
        ("bold ", {"bold"}, "", None, ""),
        ("code", {"bold", "code"}, "", None, ""),
        (" plain ", set(), "", None, ""),
        ("", set(), "", 1800000000, "r"),
        (" ", set(), "", None, ""),
        ("site", set(), "https://a.example/x", None, ""),
        (" ", set(), "", None, ""),
        ("secret", {"spoiler"}, "", None, ""),
        (" 2*3*4 ", set(), "", None, ""),
        ("https://b.example", set(), "https://b.example", None, ""),
    ]


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("a cat", {"prompt": "a cat"}),
        ("a cat count:2", {"prompt": "a cat", "count": 2}),
        ("count:2 prompt:a cat: black breit:true", {"count": 2, "prompt": "a cat: black", "wide": True}),
        ("ratio 16:9", {"prompt": "ratio 16:9"}),
    ],
)
def test_typed_words_become_options(typed: str, values: dict[str, Any]) -> None:
    found = commands.typed(COMMAND, typed, "de")
    assert {option["name"]: option["value"] for option in found} == values


@pytest.mark.parametrize("typed", ["", "count:2", "a cat count:9", "x" * 21])
def test_what_the_client_would_not_send_is_not_sent(typed: str) -> None:
    with pytest.raises(AssertionError):
        commands.typed(COMMAND, typed, "de")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Generate"},
        {"description": ""},
        {"description_localizations": {"de": "x" * 101}},
        {"options": [COMMAND["options"][1], COMMAND["options"][0]]},
    ],
)
def test_commands_that_the_platform_refuses_are_refused(wrong: dict[str, Any]) -> None:
    commands.check([COMMAND])
    with pytest.raises(Refusal) as refusal:
        commands.check([COMMAND | wrong])
    assert refusal.value.violation


def test_components_that_the_platform_refuses_are_refused() -> None:
    button = {"type": components.BUTTON, "style": 1, "label": "Again", "custom_id": "again"}
    components.check([{"type": components.ROW, "components": [button]}], 0)
    for row in ([], [button, button], [button | {"label": "x" * 81}], [button | {"custom_id": "x" * 101}]):
        with pytest.raises(Refusal):
            components.check([{"type": components.ROW, "components": row}], 0)
    with pytest.raises(Refusal):
        components.check_modal({"title": "x" * 46, "custom_id": "form", "components": [{"type": components.ROW}]})


def test_a_shelf_gives_up_the_oldest_for_the_newest() -> None:
    shelf: Shelf[str, str] = Shelf(10)
    assert shelf.keep("a", "A", 6) == []
    assert shelf.keep("a", "A again", 4) == []
    assert shelf.keep("b", "B", 6) == []
    assert shelf.keep("c", "C", 1) == ["A again"]
    assert shelf.take("b") == "B"
    assert shelf.take("b") is None
    assert shelf.keep("d", "D", 100) == ["C"]
    assert list(shelf) == ["d"]

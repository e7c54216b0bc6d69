"""What somebody has chosen for orders that do not say otherwise, and the language in which they are spoken to."""

from __future__ import annotations

from msgspec import structs

from control_plane.wire.user import Choices, Preferences
from frontends.bots.dialogue.requests import Answer, Prefer
from frontends.bots.dialogue.screen import Card
from frontends.bots.dialogue.state import Cause
from frontends.bots.dialogue.turn import Turn, language_of, said
from frontends.bots.dialogue.wishing import choices
from frontends.bots.language.tongue import LANGUAGES, tongue

SIZES = {"square": (1_024, 1_024), "wide": (1_344, 768), "tall": (768, 1_344)}
COUNTS = (1, 2, 4)
MODELS_MAX = 6
NAME_LENGTH_MAX = 20
"""Of a model in a button; longer names are known by their beginning."""


def settings(turn: Turn, cause: Cause, argument: str = "") -> None:
    turn.toast(cause)
    turn.respond(cause, page(turn))


def page(turn: Turn) -> Card:
    """Everything that can be chosen, and what is."""
    chosen = choices(turn)
    model = (chosen.video_model if turn.scene.makes == "video" else chosen.image_model) or "–"
    size = f"{chosen.width}×{chosen.height}" if chosen.width and chosen.height else "–"
    lines = [
        said("settings.title"),
        said("settings.language", language=tongue(turn.language).name),
        said("settings.usual", count=chosen.count or 1, size=size, model=model),
        said("settings.recipe_on" if _embeds(turn) else "settings.recipe_off"),
    ]
    buttons = [turn.button("language")]
    buttons += [turn.button("count", "set", argument=f"count={count}", number=count) for count in COUNTS]
    buttons += [turn.button(f"size_{name}", "set", argument=f"size={name}") for name in SIZES]
    buttons += [
        turn.button("model", "set", argument=f"model={model.name[:NAME_LENGTH_MAX]}", name=model.title)
        for model in turn.house.models
        if model.kind == turn.scene.makes
    ][:MODELS_MAX]
    buttons.append(turn.button("recipe_off" if _embeds(turn) else "recipe_on", "set", argument="recipe="))
    buttons.append(turn.button("reset", "set", argument="reset="))
    return Card(lines=lines, buttons=turn.rows(buttons))


def chosen(turn: Turn, cause: Cause, argument: str) -> None:
    """One thing was chosen: `count=2`."""
    what, _, value = argument.partition("=")
    now = choices(turn)
    embeds = _embeds(turn)
    if what == "recipe":
        embeds = not embeds
    elif what == "reset":
        now, embeds = Choices(language=now.language), True
    else:
        changed = _changed(turn, now, what, value)
        if changed is None:
            turn.toast(cause, said("toast.unknown"))
            return
        now = changed
    turn.toast(cause, said("toast.chosen"))
    _prefer(turn, cause, embeds, now, show="settings")


def _changed(turn: Turn, now: Choices, what: str, value: str) -> Choices | None:
    if what == "count" and value in map(str, COUNTS):
        return structs.replace(now, count=int(value))
    if what == "size" and value in SIZES:
        width, height = SIZES[value]
        return structs.replace(now, width=width, height=height)
    if what == "model":
        kind = turn.scene.makes
        fitting = [m.name for m in turn.house.models if m.kind == kind and m.name[:NAME_LENGTH_MAX] == value]
        return structs.replace(now, **{f"{kind}_model": fitting[0]}) if fitting else None
    return None


def language(turn: Turn, cause: Cause, argument: str = "") -> None:
    """`/language`, or with the code of one."""
    wanted = argument.strip().lower()
    if wanted in LANGUAGES:
        turn.toast(cause)
        _prefer(turn, cause, _embeds(turn), structs.replace(choices(turn), language=wanted), show="language")
        return
    turn.toast(cause)
    buttons = [turn.button("tongue", "language", argument=code, name=tongue(code).name) for code in LANGUAGES]
    turn.respond(cause, Card(lines=[said("language.choose")], buttons=turn.rows(buttons)))


def preferred(turn: Turn, answer: Answer, cause: Cause, about: dict[str, str]) -> None:
    """It is so from now on: said in the language that was chosen."""
    assert isinstance(answer, Preferences)
    turn.change(choices=answer, choices_at=turn.at)
    if about.get("show") == "settings" and cause.pressed:
        turn.edit(cause.pressed, page(turn))
    else:
        turn.respond(cause, Card(lines=[said("language.done", language=tongue(language_of(turn.state)).name)]))


def _prefer(turn: Turn, cause: Cause, embeds: bool, wanted: Choices, *, show: str) -> None:
    asked = Prefer(wanted=Preferences(embed_metadata=embeds, choices=wanted))
    turn.call(asked, "preferred", cause, show=show)


def _embeds(turn: Turn) -> bool:
    return turn.state.choices.embed_metadata if turn.state.choices is not None else True

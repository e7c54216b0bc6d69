"""Message components and modals: what they say, what may be pressed, and what the platform refuses about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from frontends.standins.discord.limits import TEXT_DISPLAYS_CHARACTERS_MAX, malformed
from frontends.standins.person import Button, Field, Message

ROW, BUTTON, SELECT, TEXT_INPUT, TEXT_DISPLAY, GALLERY, FILE, CONTAINER, LABEL = 1, 2, 3, 4, 10, 12, 13, 17, 18
SELECTS = range(SELECT, 9)
SELECTS_OF_TEXT = {SELECT}
LINK_STYLE = 5
STYLES = {1: "primary", 2: "", 3: "success", 4: "danger", 5: "link"}
ROWS_MAX, BUTTONS_IN_ROW_MAX, COMPONENTS_MAX = 5, 5, 40
CUSTOM_ID_MAX, LABEL_MAX, TITLE_MAX, OPTIONS_MAX = 100, 80, 45, 25
FIELD_LABEL_MAX, FIELD_VALUE_MAX = 45, 4000
NEW_COMPONENTS = 1 << 15
"""The message flag for components that carry the text too."""


def walk(components: list[Any]) -> Iterator[Any]:
    """Every component, outer ones first."""
    for component in components:
        yield component
        inner = [*component.get("components", []), component.get("accessory"), component.get("component")]
        yield from walk([one for one in inner if one])


def numbered(components: list[Any], taken: Iterator[int]) -> list[Any]:
    """The platform gives every component an integer id."""
    out = []
    for component in components:
        copy = {"id": next(taken), **component}
        if component.get("components"):
            copy["components"] = numbered(component["components"], taken)
        for single in ("accessory", "component"):
            if component.get(single):
                [copy[single]] = numbered([component[single]], taken)
        out.append(copy)
    return out


def text(components: list[Any]) -> str:
    return "\n".join(one["content"] for one in walk(components) if one["type"] == TEXT_DISPLAY)


def rows(message: Message, components: list[Any]) -> list[list[Button]]:
    """What may be pressed, in rows."""
    found = []
    for component in walk(components):
        if component["type"] == ROW:
            found.append([_button(message, one) for one in component["components"]])
        elif component.get("accessory", {}).get("type") == BUTTON:
            found.append([_button(message, component["accessory"])])
    return found


def _button(message: Message, component: Any) -> Button:
    kind: Literal["choice", "link", "press"] = "press"
    if component["type"] in SELECTS:
        kind = "choice"
    elif component.get("style") == LINK_STYLE:
        kind = "link"
    emoji = (component.get("emoji") or {}).get("name") or ""
    label = component.get("label") or component.get("placeholder") or ""
    return Button(
        message,
        f"{emoji} {label}".strip(),
        component.get("custom_id") or "",
        component.get("url") or "",
        kind,
        not component.get("disabled"),
        STYLES.get(component.get("style") or 2, ""),
        tuple((one["label"], one["value"]) for one in component.get("options") or []),
    )


def check(components: list[Any], flags: int) -> None:
    """Raises what the platform answers to a message with these."""
    every = list(walk(components))
    if flags & NEW_COMPONENTS:
        if len(every) > COMPONENTS_MAX:
            raise malformed("components", "BASE_TYPE_BAD_LENGTH", f"Must be {COMPONENTS_MAX} or fewer in length.")
        if len(text(components)) > TEXT_DISPLAYS_CHARACTERS_MAX:
            raise malformed("components", "COMPONENT_MAX_TOTAL_TEXT", "The text is too long.")
    elif len(components) > ROWS_MAX or any(one["type"] != ROW for one in components):
        raise malformed("components", "BASE_TYPE_BAD_LENGTH", f"Must be {ROWS_MAX} or fewer rows.")
    for row in (one for one in every if one["type"] == ROW):
        if not 1 <= len(row["components"]) <= BUTTONS_IN_ROW_MAX:
            raise malformed("components", "BASE_TYPE_BAD_LENGTH", "A row holds 1 to 5 buttons.")
    ids = [one["custom_id"] for one in every if one.get("custom_id")]
    if len(ids) != len(set(ids)):
        raise malformed("components", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
    for one in every:
        _check_one(one)


def _check_one(component: Any) -> None:
    if component["type"] == BUTTON:
        if component.get("style") != LINK_STYLE and not component.get("custom_id"):
            raise malformed("custom_id", "BASE_TYPE_REQUIRED", "This field is required")
        if not (component.get("label") or component.get("emoji")):
            raise malformed("label", "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji")
    if len(component.get("custom_id") or "") > CUSTOM_ID_MAX:
        raise malformed("custom_id", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {CUSTOM_ID_MAX} in length.")
    if component["type"] in (BUTTON, LABEL) and len(component.get("label") or "") > LABEL_MAX:
        raise malformed("label", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {LABEL_MAX} in length.")
    if component["type"] in SELECTS_OF_TEXT and not 1 <= len(component.get("options") or []) <= OPTIONS_MAX:
        raise malformed("options", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {OPTIONS_MAX} in length.")


def check_modal(data: Any) -> None:
    if not 1 <= len(data["title"]) <= TITLE_MAX:
        raise malformed("title", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {TITLE_MAX} in length.")
    if not 1 <= len(data["custom_id"]) <= CUSTOM_ID_MAX:
        raise malformed("custom_id", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {CUSTOM_ID_MAX} in length.")
    if not 1 <= len(data["components"]) <= ROWS_MAX:
        raise malformed("components", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {ROWS_MAX} in length.")
    for field in fields(data["components"]):
        if len(field.label) > FIELD_LABEL_MAX:
            raise malformed("label", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {FIELD_LABEL_MAX} in length.")
        if len(field.value) > field.max_length:
            raise malformed("value", "BASE_TYPE_BAD_LENGTH", f"Must be {field.max_length} or fewer in length.")


def fields(components: list[Any]) -> list[Field]:
    """The text inputs of a modal, each with its label (of the input itself, or around it)."""
    found = []
    for outer in components:
        for one in walk([outer]):
            if one["type"] == TEXT_INPUT:
                found.append(_field(one, one.get("label") or outer.get("label") or ""))
    return found


def _field(component: Any, label: str) -> Field:
    return Field(
        component["custom_id"],
        label,
        component.get("value") or "",
        component.get("required", True),
        component.get("style") == 2,
        component.get("min_length") or 0,
        component.get("max_length") or FIELD_VALUE_MAX,
        component.get("placeholder") or "",
    )


def filled(components: list[Any], values: dict[str, str], taken: Iterator[int]) -> list[Any]:
    """A modal as it is sent back, with what was typed."""
    out: list[Any] = []
    for one in components:
        if one["type"] == TEXT_INPUT:
            value = values.get(one["custom_id"], one.get("value") or "")
            out.append({"type": TEXT_INPUT, "id": next(taken), "custom_id": one["custom_id"], "value": value})
        elif one.get("component"):
            [inner] = filled([one["component"]], values, taken)
            out.append({"type": one["type"], "id": next(taken), "component": inner})
        elif one.get("components"):
            inner = filled(one["components"], values, taken)
            out.append({"type": one["type"], "id": next(taken), "components": inner})
    return out

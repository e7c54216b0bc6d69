"""What the person at the page does: each act is one request, done by the stand-in's own person.

What the platform's client would not let pass (an unknown command, a field left empty) and a bot that does not answer
come back as sentences, not as failures.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from aiohttp import web

from frontends.standins.page import views
from frontends.standins.page.views import Platforms
from frontends.standins.person import WITHIN_SECONDS, Answer, Bot, Form, Message, Person, Place, Platform
from frontends.standins.shelf import Shelf

FORMS_MAX = 100
"""Open forms that are remembered; the oldest is forgotten."""
PHOTO_BYTES_MAX = 20 * 1024**2
NAME_MAX, TEXT_MAX = 64, 6000
LANGUAGES = ("en", "es", "de", "ru", "zh")


class Who(msgspec.Struct, forbid_unknown_fields=True):
    """The person at the page."""

    id: int
    name: str
    language: str


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """What they do; the fields that an act does not need stay empty."""

    who: Who
    platform: str
    bot: int = 0
    group: int = 0
    message: int = 0
    text: str = ""
    row: int = 0
    column: int = 0
    choice: str = ""
    form: str = ""
    fields: dict[str, str] = {}


class Said(Exception):
    """A sentence for the person at the page."""


class Acts:
    def __init__(self, platforms: Platforms) -> None:
        self._platforms = platforms
        self._forms: Shelf[str, Form] = Shelf(FORMS_MAX)

    async def says(self, act: Act) -> Answer:
        person, bot = self._person(act), self._bot(act)
        reply_to = self._message(act) if act.message else None
        await person.says(act.text[:TEXT_MAX], to=bot, where=self._group(act), reply_to=reply_to)
        return Answer()

    async def sends_photo(self, act: Act, photo: bytes, name: str) -> Answer:
        reply_to = self._message(act) if act.message else None
        place, bot = self._group(act), self._bot(act)
        await self._person(act).sends_photo(photo, act.text, to=bot, where=place, reply_to=reply_to, name=name)
        return Answer()

    async def presses(self, act: Act) -> Answer:
        rows = self._message(act).buttons
        if not (0 <= act.row < len(rows) and 0 <= act.column < len(rows[act.row])):
            raise Said("That button is gone.")
        button = rows[act.row][act.column]
        if button.kind == "pay":
            return await self.pays(act)
        return await self._person(act).presses(button, act.choice)

    async def fills(self, act: Act) -> Answer:
        form = self._forms.get(act.form)
        if form is None or not form.fields:
            raise Said("That form is not open any more.")
        fields = {field.id: act.fields.get(field.id, "") for field in form.fields}
        first = fields.pop(form.fields[0].id)
        return await self._person(act).answers(form, first, within=WITHIN_SECONDS, **fields)

    async def pays(self, act: Act) -> Answer:
        person, message = self._person(act), self._message(act)
        pays = getattr(person, "pays", None)
        if pays is None or message.invoice is None:
            raise Said("There is nothing to pay.")
        await pays(message)
        return Answer("Paid with play money.")

    async def uses(self, act: Act) -> Answer:
        """A command on a message."""
        uses = getattr(self._person(act), "uses", None)
        if uses is None:
            raise Said("There are no such commands here.")
        await uses(act.text, on=self._message(act), of=self._bot(act))
        return Answer()

    def told(self, answer: Answer) -> dict[str, Any]:
        key = self._remember(answer.form) if answer.form else None
        return views.answer(answer, key)

    def _remember(self, form: Form) -> str:
        key = secrets.token_urlsafe(8)
        self._forms.keep(key, form)
        return key

    def _platform(self, act: Act) -> Platform:
        if act.platform not in self._platforms:
            raise Said("There is no such platform here.")
        return self._platforms[act.platform]

    def _person(self, act: Act) -> Person:
        return person(self._platform(act), act.who)

    def _bot(self, act: Act) -> Bot:
        found = next((bot for bot in self._platform(act).roster() if bot.id == act.bot), None)
        if found is None:
            raise Said("There is no such bot.")
        return found

    def _group(self, act: Act) -> Place | None:
        if not act.group:
            return None
        places = self._platform(act).places(self._person(act))
        found = next((place for place in places if place.id == act.group), None)
        if found is None:
            raise Said("You are not in that group.")
        return found

    def _message(self, act: Act) -> Message:
        found = self._platform(act).message(act.message)
        if found is None or found.deleted or not self._person(act).may_see(found):
            raise Said("That message is gone.")
        return found


def person(platform: Platform, who: Who) -> Person:
    """The stand-in's person for whoever sits there, called and speaking as they say now."""
    if who.language not in LANGUAGES or not who.name.strip() or who.id <= 0:
        raise web.HTTPUnprocessableEntity(text="a person has an id, a name and a language")
    found = platform.person(who.id, who.name[:NAME_MAX], who.language)
    found.name, found.language = who.name[:NAME_MAX], who.language
    return found

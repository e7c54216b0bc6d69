"""Prompts in a language that a model does not read, translated by a LibreTranslate server, if there is one.

What must stay as it is (quoted text, `<lora:…>`, trigger words that the caller names) is replaced by placeholders,
which have to come back exactly once each; if they do not, or the server is slow, broken or talks nonsense, the prompt
goes as it was typed. Nothing ever fails because of a translation: `Translation.outcome` says what became of it. What
was translated once is remembered, within bounds; a server that did not answer is left alone for a while.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, get_args

import aiohttp
import msgspec

from control_plane.wire.job import PROMPT_LENGTH_MAX
from frontends.bots.language.detection import detect
from frontends.bots.language.scanning import Span, clean, plain, sealed
from frontends.bots.language.tongue import FALLBACK

TRANSLATE_SECONDS = 3.0
REST_SECONDS = 30.0
"""How long a server that did not answer is not asked again."""
ANSWER_BYTES_MAX = 64 * 1024
REMEMBERED_MAX = 1_000
PLACEHOLDERS_MAX = 50
"""A prompt with more of them is hardly words at all and stays as it is."""
LORA = {"<": ">"}
"""Brackets whose content is no language."""

Outcome = Literal["kept", "translated", "unread", "failed"]
"""Read as it is; translated; not read by the model, and there is no server; not translated, though there is one."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""The worse the later."""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, and what the model gets."""

    typed: str
    text: str
    """What goes to the model."""
    outcome: Outcome
    language: str | None = None
    """Of what was typed, as far as known."""


class _Masked(NamedTuple):
    """A prompt with placeholders."""

    text: str
    open: str
    """What of it is to be translated."""
    mark: str
    """What placeholders begin with."""
    hidden: list[str]
    """What stands behind each."""


class _Detected(msgspec.Struct, frozen=True):
    language: str = ""


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What LibreTranslate says."""

    translated_text: str
    detected_language: _Detected = _Detected()


class Translator:
    """One for all bots. Without a `url` it only finds out which prompts are not read."""

    def __init__(self, session: aiohttp.ClientSession, url: str | None, api_key: str | None = None) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/translate" if url else None
        self._api_key = api_key
        self._remembered: OrderedDict[tuple[str, str, str], _Answer] = OrderedDict()
        self._resting_until = 0.0

    async def translate(
        self,
        typed: str,
        client_code: str,
        reads: Sequence[str] = (FALLBACK,),
        *,
        triggers: Collection[str] = (),
        spoken: str | None = None,
    ) -> Translation:
        """What a model that reads some languages gets of a prompt. `client_code` is the language of the person's
        client: what a prompt is taken for when it is not clear; `spoken`, what it surely is in when its own words do
        not tell. Never raises."""
        client = _main(client_code)
        certain = detect(typed, client) or spoken
        guessed = certain or (client if client not in reads else None)
        if not typed or not guessed or guessed in reads or (certain is None and self._url is None):
            return _untranslated(typed, "kept", certain)
        if self._url is None:
            return _untranslated(typed, "unread", guessed)
        masked = _masked(typed, triggers)
        if not any(one.isalpha() for one in masked.open):
            return _untranslated(typed, "kept", None)
        target = FALLBACK if FALLBACK in reads else reads[0]
        answer = await self._asked(masked, certain or "auto", target)
        found = answer.detected_language.language.partition("-")[0] if answer else ""
        if not certain and found in reads:
            return _untranslated(typed, "kept", found)
        text = _unmasked(answer.translated_text, masked) if answer else None
        if text is None:
            return _untranslated(typed, "failed", certain)
        return Translation(typed=typed, text=text, outcome="translated", language=certain or found or None)

    async def _asked(self, masked: _Masked, source: str, target: str) -> _Answer | None:
        """The server's answer, remembered or fresh; None when there is none that can be used."""
        key = (masked.text, source, target)
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        now = asyncio.get_running_loop().time()
        if now < self._resting_until or len(masked.hidden) > PLACEHOLDERS_MAX:
            return None
        try:
            async with asyncio.timeout(TRANSLATE_SECONDS):
                answer = await self._post({"q": masked.text, "source": source, "target": target, "format": "text"})
        except (TimeoutError, aiohttp.ClientError, OSError):
            self._resting_until = now + REST_SECONDS
            return None
        except (msgspec.DecodeError, ValueError):
            return None
        if answer:
            self._remember(key, answer)
        return answer

    async def _post(self, question: dict[str, str]) -> _Answer | None:
        assert self._url
        body = question | ({"api_key": self._api_key} if self._api_key else {})
        async with self._session.post(self._url, json=body, allow_redirects=False) as response:
            if response.status != 200:
                return None
            told = b""
            async for piece in response.content.iter_any():
                told += piece
                if len(told) > ANSWER_BYTES_MAX:
                    return None
            return msgspec.json.decode(told, type=_Answer)

    def _remember(self, key: tuple[str, str, str], answer: _Answer) -> None:
        self._remembered[key] = answer
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


def language(typed: str, client_code: str) -> str | None:
    """Of a text, as far as its own words tell."""
    return detect(typed, _main(client_code))


def _main(client_code: str) -> str:
    """`de-AT` is German."""
    return client_code.replace("_", "-").lower().partition("-")[0]


def _untranslated(typed: str, outcome: Outcome, language: str | None) -> Translation:
    return Translation(typed=typed, text=typed, outcome=outcome, language=language)


def _masked(text: str, triggers: Collection[str]) -> _Masked:
    view = plain(text)
    mark = _mark(view)
    hidden: list[str] = []
    pieces, last = [], 0
    for start, end in _untouchable(view, triggers):
        if start >= last:
            pieces += [text[last:start]]
            hidden.append(text[start:end])
            last = end
    pieces.append(text[last:])
    joined = "".join(piece + f"{mark}{number}Z" for number, piece in enumerate(pieces[:-1])) + pieces[-1]
    return _Masked(joined, " ".join(pieces), mark, hidden)


def _untouchable(view: str, triggers: Collection[str]) -> list[Span]:
    """Quotations, tags of LoRAs and trigger words, the longest first where two begin at one place."""
    spans = sealed(view, LORA)
    words = "|".join(re.escape(plain(word)) for word in sorted(triggers, key=len, reverse=True) if word.strip())
    if words:
        spans += [found.span() for found in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", view)]
    return sorted(spans, key=lambda span: (span[0], -span[1]))


def _mark(view: str) -> str:
    """Letters that no language reads as a word, and that the text does not have."""
    mark = "XQ"
    while mark.lower() in view:
        mark += "Q"
    return mark


def _unmasked(text: str, masked: _Masked) -> str | None:
    """With everything back in its place; None if one was lost, doubled or invented, or nothing or too much is left."""
    placeholder = re.compile(rf"{masked.mark}\s?([0-9]{{1,4}})\s?Z", re.IGNORECASE)
    found = [int(one) for one in placeholder.findall(text)]
    if sorted(found) != list(range(len(masked.hidden))) or not text.strip():
        return None
    whole = clean(placeholder.sub(lambda one: masked.hidden[int(one[1])], text)).strip()
    return whole if len(whole) <= PROMPT_LENGTH_MAX else None

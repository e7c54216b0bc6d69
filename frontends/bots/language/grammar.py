"""What a person ordered, out of what they typed: `understand(text, language)`.

The text stays theirs. A wish is understood only where nothing else can be meant; when in doubt its words stay in the
prompt. No word is ever lost, none is invented, and the order of what stays is kept. `tests/…/examples` is the law.

 1. What stands in quotes or brackets is never interpreted.
 2. Flags (`--seed 42`, see `flags`) are understood anywhere, and before anything else.
 3. The rest falls into parts (see `scanning`). A part that consists of nothing but phrases and fillers is understood as
    a whole: `wide`, `in 16:9 and 3 pictures, please`. 'A portrait of a wide river' has other words and is a prompt.
 4. Phrases that can mean nothing else are also understood at the end of a longer part, with everything after the first
    of them: `a lighthouse in 16:9 seed 42`. Which, stands in the language files (`!`).
 5. A word for *without*, at the beginning of a part or after phrases, makes a negative of what follows, up to the end
    of the part or such an ending: `no people`, `wide and without text`. In the middle of a sentence it does not.
 6. At the very beginning, a count joined to its subject is understood: `draw three pictures of a fox`,
    `三张狐狸的图片`.
 7. A first part that is only a doubtful shape (`portrait`, `square`) or begins with `no` is understood only if nothing
    else would be left as a prompt.
 8. The first to say something holds. What says otherwise later, or is out of range (`values`), stays in the prompt.
 9. Length and rate of a film are understood where a film is ordered.

The languages read are the person's, English, and those whose script appears in the text; German words are not read to
somebody who speaks Spanish, for `sin city` is a city to everybody else. The work is proportional to the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from frontends.bots.language.echo import echo
from frontends.bots.language.flags import Flag, flags
from frontends.bots.language.phrases import ROLES, Lexicon, Phrase, lexicon, longest, named
from frontends.bots.language.scanning import (
    HAN,
    MARKS,
    Part,
    Span,
    Token,
    clean,
    covering,
    merged,
    parts,
    plain,
    sealed,
    tokens,
)
from frontends.bots.language.tongue import FALLBACK
from frontends.bots.language.values import CERTAIN_RATIOS, ratio, value
from frontends.bots.language.wishes import ASPECTS, NO_NAMES, Kind, Names, Understood, Wishes

NEGATIVE_TOKENS_MAX = 24
"""A longer part is a sentence and stays in the prompt."""
COUNTED: dict[str, Kind | None] = {"pictures": "image", "videos": "video", "versions": None}
KINDS: dict[str, Kind] = {"as_picture": "image", "as_video": "video"}
FILM = frozenset({"seconds", "fps", "frames"})
PASSED = frozenset({"filler", "courtesy", "request"})
"""They say nothing by themselves."""
WITHOUT = frozenset({"without", "no"})
SCRIPTS = {"zh": re.compile(f"[{HAN}]"), "ru": re.compile(r"[\u0400-\u04ff]")}
_SENTENCE_END = re.compile(r"[.!?…。！？]+")


class _Hit(NamedTuple):
    """A phrase in a part."""

    field: str
    told: dict[str, Any]
    certain: bool
    end: int
    """Index of the token after it."""


class _Reading(NamedTuple):
    """Everything that is known of a text while it is read."""

    text: str
    view: str
    closed: list[Span]
    lexicon: Lexicon
    film: bool
    told: dict[str, Any]
    """The wishes so far, by field."""
    negatives: list[tuple[int, str]]
    """So far, with where each was said."""
    spans: list[Span]
    """What has been understood so far."""


def understand(text: str, language: str, *, kind: Kind | None = None, names: Names = NO_NAMES) -> Understood:
    """Read a text of somebody who speaks a language out of `LANGUAGES`. `kind` is what is made when nothing is said."""
    wishes, prompt, spans = _understood(text, language, kind, names)

    def says(line: str) -> Wishes:
        return _understood(line, language, kind, names)[0]

    return Understood(wishes=wishes, prompt=prompt, echo=echo(wishes, language, says), spans=tuple(spans))


def _understood(text: str, language: str, kind: Kind | None, names: Names) -> tuple[Wishes, str, list[Span]]:
    found = _read(text, language, kind != "image", names)
    if kind == "image" and found[0].kind == "video":
        return _read(text, language, True, names)
    return found


def _read(text: str, language: str, film: bool, names: Names) -> tuple[Wishes, str, list[Span]]:
    text = clean(text)
    view = plain(text)
    scripts = [code for code, script in SCRIPTS.items() if script.search(view)]
    words = lexicon(tuple(dict.fromkeys([language, FALLBACK, *scripts])), names)
    reading = _Reading(text, view, sealed(view), words, film, {}, [], [])
    unknown = [(flag.start, flag.end) for flag in flags(view, reading.closed) if not _take_flag(reading, flag)]
    flagged = list(reading.spans)
    reading = reading._replace(closed=merged([*reading.closed, *unknown]))
    cut = list(parts(view, reading.closed, flagged))
    _take_parts(reading, cut)
    spans = merged(reading.spans)
    negatives = tuple(unwanted for _, unwanted in sorted(reading.negatives, key=itemgetter(0)))
    wishes = Wishes(**reading.told, negatives=negatives)
    return wishes, _left(reading, cut, spans, flagged), spans


def _take_parts(reading: _Reading, cut: list[Part]) -> None:
    """Understand what can be; a doubtful first part comes last."""
    spoken = [(part, said) for part in cut if (said := tokens(reading.view, part, reading.closed))]
    left, doubtful = False, None
    for index, (part, said) in enumerate(spoken):
        hits = _hits(reading, said)
        if index == 0 and _doubtful(said, hits):
            doubtful = part, said, hits
        else:
            left = not _take_part(reading, said, hits, first=index == 0) or left
    if doubtful and not left:
        _take_part(reading, doubtful[1], doubtful[2], first=True)


def _hits(reading: _Reading, said: list[Token]) -> list[_Hit | None]:
    """For each token the longest phrase that begins with it."""
    return [
        _hit(reading, phrase) if (phrase := longest(reading.lexicon, said, index)) else None
        for index in range(len(said))
    ]


def _hit(reading: _Reading, phrase: Phrase) -> _Hit | None:
    field, _, certain = phrase.ending
    if field in FILM and not reading.film:
        return None
    told = _told(field, phrase.value)
    if told is None:
        return None
    return _Hit(field, told, certain or told.get("aspect") in CERTAIN_RATIOS, phrase.end)


def _told(field: str, said: str) -> dict[str, Any] | None:
    """The wishes that a phrase makes; None: it cannot be meant that way."""
    if field in ROLES.values():
        return {}
    if field in COUNTED:
        told, kind = value("count", said), COUNTED[field]
        return {**told, "kind": kind} if told and kind else told
    if field in KINDS:
        return {"kind": KINDS[field]}
    if field in {"aspect", "doubtful"}:
        shape = said if said in ASPECTS else ratio(said)
        return {"aspect": shape} if shape else None
    return {"negatives": (said,)} if field == "negative" else value(field, said)


def _doubtful(said: list[Token], hits: list[_Hit | None]) -> bool:
    run = _run(hits, 0)
    fields = [hit.field for hit in run if hit.field not in PASSED]
    if fields == ["doubtful"]:
        return run[-1].end == len(said)
    end = run[-1].end if run else 0
    after = hits[end] if end < len(said) else None
    return not fields and after is not None and after.field == "no"


def _take_part(reading: _Reading, said: list[Token], hits: list[_Hit | None], *, first: bool) -> bool:
    """Understand what can be of a part; whether that is all of it."""
    nearest = _endings(said, hits)
    whole = _settings(reading, said, hits, nearest, 0)
    if whole is not None:
        return _take(reading, whole, (said[0].start, said[-1].end))
    ending = nearest[0]
    closing = next((index for index, hit in enumerate(hits[:ending]) if hit and _closes(hit, ending)), ending)
    if first and (begun := _counted(said, hits, closing if closing < ending else 0)):
        counted = _take(reading, _run(hits, 0)[: begun[0]], (said[0].start, said[begun[1] - 1].end))
        if counted and begun[1] < closing < ending:
            reading.spans.append((said[closing].start, said[ending - 1].end))
    if ending < len(said) and (found := _settings(reading, said, hits, nearest, ending)):
        _take(reading, found, (said[ending].start, said[-1].end))
    return False


def _settings(
    reading: _Reading, said: list[Token], hits: list[_Hit | None], nearest: list[int], start: int
) -> list[_Hit] | None:
    """Everything from a token on, if it is nothing but phrases, fillers and negatives."""
    found: list[_Hit] = []
    while True:
        found += _run(hits, start)
        end = found[-1].end if found else start
        if end == len(said):
            return found
        opening = hits[end]
        if not opening or opening.field not in WITHOUT:
            return None
        start = nearest[opening.end]
        negative = _negative(reading, said[opening.end : start], start)
        if not negative:
            return None
        found.append(negative)


def _run(hits: Sequence[_Hit | None], start: int) -> list[_Hit]:
    """Phrases and fillers, one after the other."""
    run: list[_Hit] = []
    while start < len(hits) and (hit := hits[start]) and _speaks(hit):
        run.append(hit)
        start = hit.end
    return run


def _endings(said: list[Token], hits: list[_Hit | None]) -> list[int]:
    """For each token, and for the end, where the next ending begins that is understood after other words."""
    size = len(hits)
    plainly, reaches, begins, nearest = (
        [True] * (size + 1),
        [False] * size + [True],
        [False] * (size + 1),
        [size] * (size + 1),
    )
    for index in range(size - 1, -1, -1):
        plainly[index] = plainly[index + 1] and _plain(said[index])
        if hit := hits[index]:
            negates = hit.field in WITHOUT and hit.end < size and plainly[hit.end]
            reaches[index] = negates or (_speaks(hit) and reaches[hit.end])
            begins[index] = reaches[index] and (hit.certain or (hit.field == "filler" and begins[hit.end]))
        nearest[index] = index if begins[index] else nearest[index + 1]
    return nearest


def _counted(said: list[Token], hits: Sequence[_Hit | None], closing: int) -> tuple[int, int] | None:
    """How many phrases and how many tokens are a count at the beginning, joined to what follows, or to its end."""
    run = _run(hits, 0)
    for index, hit in enumerate(run):
        if hit.field not in PASSED and hit.field not in COUNTED:
            return None
        if hit.field in COUNTED:
            after = hits[hit.end] if hit.end < len(said) else None
            joined = after.end if after and after.field == "of" else hit.end + _colons(said, hit.end)
            return (index + 1, joined) if (hit.end < joined or joined < closing) and joined < len(said) else None
    return None


def _closes(hit: _Hit, end: int) -> bool:
    return hit.field == "closing" and hit.end == end


def _colons(said: list[Token], index: int) -> int:
    return 1 if index < len(said) and said[index].text == ":" else 0


def _negative(reading: _Reading, unwanted: list[Token], end: int) -> _Hit | None:
    """What is not wanted, in the person's words."""
    if len(unwanted) > NEGATIVE_TOKENS_MAX or not all(map(_plain, unwanted)):
        return None
    if all(token.kind == "mark" for token in unwanted):
        return None
    words = " ".join(reading.text[unwanted[0].start : unwanted[-1].end].split())
    return _Hit("negative", {"negatives": (words,)}, False, end)


def _speaks(hit: _Hit) -> bool:
    """Whether it is a phrase or a filler."""
    return bool(hit.told) or hit.field in PASSED


def _plain(token: Token) -> bool:
    return token.kind != "sealed" and token.text not in MARKS


def _take(reading: _Reading, run: list[_Hit], span: Span) -> bool:
    """Add the wishes of a run, all or none; none as well if nothing is wished, but for a courtesy beside a wish, or if
    a request has nothing to ask for."""
    told = dict(reading.told)
    for hit in run:
        if _contradicts(told, hit.told):
            return False
        told |= {field: wish for field, wish in hit.told.items() if field != "negatives"}
    fields = {hit.field for hit in run}
    idle = fields <= PASSED and not (fields == {"courtesy"} and reading.spans)
    if idle or ("request" in fields and not fields & set(COUNTED)):
        return False
    reading.told.update(told)
    reading.negatives.extend((span[0], unwanted) for hit in run for unwanted in hit.told.get("negatives", ()))
    reading.spans.append(span)
    return True


def _contradicts(told: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether something would be said twice, or a thing by more than determines it."""
    if told.keys() & new.keys():
        return True
    both = told.keys() | new.keys()
    sides = both & {"width", "height"}
    return len(sides) + ("aspect" in both) > 2 or ("side" in both and bool(sides)) or both >= FILM


def _take_flag(reading: _Reading, flag: Flag) -> bool:
    told = _flag_told(reading, flag)
    if told is None:
        return False
    fields, end = told
    hit = _Hit(flag.field or "", fields, True, 0)
    return _take(reading, [hit], (flag.start, end))


def _flag_told(reading: _Reading, flag: Flag) -> tuple[dict[str, Any], int] | None:
    """What a flag says, and where it ends."""
    if flag.field in {"model", "style"}:
        return _name(reading, flag)
    if flag.field == "negative":
        return _negatives(reading, flag)
    told = _flag_value(flag.field, reading.view[slice(*flag.value)].strip(), reading.film)
    return (told, flag.end) if told else None


def _flag_value(field: str | None, said: str, film: bool) -> dict[str, Any] | None:
    if field is None or (field in FILM and not film):
        return None
    if field == "raw":
        return {"raw": True}
    if field in {"image", "video"}:
        return {"kind": field}
    return _told(field, said)


def _negatives(reading: _Reading, flag: Flag) -> tuple[dict[str, Any], int] | None:
    """The items of a list; a quotation is one item. An item that is a wish does not belong to it, nor what follows."""
    items: list[str] = []
    end = flag.end
    for part in [Part(*flag.value, 0)] if flag.quoted else parts(reading.view, [], [], flag.value):
        said = tokens(reading.view, part, [])
        run = _run(_hits(reading, said), 0) if items and not flag.quoted else []
        if any(hit.told for hit in run) and run[-1].end == len(said):
            break
        if any(token.kind != "mark" for token in said):
            items.append(" ".join(reading.text[part.start : part.end].split()))
            end = flag.end if flag.quoted else part.end
    return ({"negatives": tuple(items)}, end) if items else None


def _name(reading: _Reading, flag: Flag) -> tuple[dict[str, Any], int] | None:
    """The longest name of a model or style that the value begins with."""
    assert flag.field
    said = tokens(reading.view, Part(*flag.value, flag.value[1]), [])
    phrase = named(reading.lexicon, flag.field, said)
    if not phrase or (flag.quoted and phrase.end < len(said)):
        return None
    return {flag.field: phrase.value}, flag.end if flag.quoted else said[phrase.end - 1].end


def _left(reading: _Reading, cut: list[Part], spans: list[Span], flagged: list[Span]) -> str:
    """The prompt: what was not understood, with the separators that stood behind it."""
    if not spans:
        return reading.text.strip()
    prompt, joint, last = "", "", ""
    for part in cut:
        kept = _kept(reading.text, part, spans)
        after = "" if covering(flagged, part.end) else reading.text[part.end : part.after]
        if kept:
            prompt += (joint or " ") + kept if prompt else kept
            joint = last = after
        elif prompt and not joint:
            joint = after
    closing = _SENTENCE_END.match(last)
    return prompt + closing.group() if closing else prompt


def _kept(text: str, part: Part, spans: list[Span]) -> str:
    """A part without what was understood of it, which is at its beginning and at its end."""
    kept, start = text[part.start : part.end].strip(), part.start
    while kept:
        start = text.index(kept, start)
        if begun := covering(spans, start):
            kept = kept[begun[1] - start :].lstrip()
        elif ended := covering(spans, start + len(kept) - 1):
            kept = kept[: max(ended[0] - start, 0)].rstrip()
        else:
            break
    return kept

"""Which language a prompt is in, by its script and its little words. Pure.

A library would weigh more than all bots together (lingua: 100 MB of models) or guess wildly at three words (most). It
is not needed: scripts tell Chinese, Russian and a few others apart for certain, the little words that no sentence does
without tell English, Spanish and German from each other and from their neighbours, and whatever is left, None here, a
server that translates detects better than either.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from frontends.bots.language.scanning import fold, plain, sealed
from frontends.bots.language.tongue import LANGUAGES, tongue

_SCRIPTS = {
    "ja": r"\u3040-\u30ff",
    "ko": r"\u1100-\u11ff\uac00-\ud7af",
    "zh": r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "ru": r"\u0400-\u04ff",
    "el": r"\u0370-\u03ff",
    "he": r"\u0590-\u05ff",
    "ar": r"\u0600-\u06ff",
    "hi": r"\u0900-\u097f",
    "th": r"\u0e00-\u0e7f",
}
_OF_SCRIPT = re.compile("|".join(f"(?P<{code}>[{letters}])" for code, letters in _SCRIPTS.items()))
_UKRAINIAN = re.compile("[іїєґ]")
_KANA = 0.1
"""Japanese is written with Chinese characters, too: of all letters at least this share is kana."""
_FOREIGN = 0.5
"""A text with less of a foreign script is a Latin one with a name in it."""
_DENSE = {"zh": 3, "ja": 3, "ko": 2}
"""For how many letters of others a character stands."""
_LETTERS = {"de": re.compile("[äöüß]"), "es": re.compile("[ñ¿¡áíóú]")}
"""Letters that hardly any other of the languages here has; each counts as one little word."""
_NEIGHBOURS = {
    "fr": "le la les un une des du de dans et est sur avec pour au aux en sous par qui".split(),
    "it": "il lo la gli le un una di del della nel nella con e per sul sulla su che sotto".split(),
    "pt": "os um uma da dos das de em na com e para ao pela pelo sob que".split(),
}
"""Little words of languages that nobody is spoken to in here, but that look like one that is."""
_WORD = re.compile(r"[^\W\d_]+")


def detect(text: str, client_code: str = "") -> str | None:
    """The code of the language, None when it is not known for certain. What is quoted does not count. Where two are
    as likely, that of the person's client decides."""
    view = _unsealed(plain(text))
    scripts = Counter(found.lastgroup or "" for found in _OF_SCRIPT.finditer(view))
    latin = sum(one.isalpha() for one in view) - sum(scripts.values())
    foreign = sum(count * _DENSE.get(code, 1) for code, count in scripts.items())
    if foreign and foreign / (foreign + latin) >= _FOREIGN:
        return _by_script(view, scripts)
    return _by_words(view, client_code)


def _by_script(view: str, scripts: Counter[str]) -> str:
    if scripts["ja"] and scripts["ja"] / sum(scripts.values()) >= _KANA:
        return "ja"
    code = scripts.most_common(1)[0][0]
    return "uk" if code == "ru" and _UKRAINIAN.search(view) else code


def _by_words(view: str, client_code: str) -> str | None:
    """The language most of whose little words occur."""
    words = [fold(word) for word in _WORD.findall(view)]
    scores = {code: sum(word in common for word in words) for code, common in _common().items()}
    for code, letters in _LETTERS.items():
        scores[code] = scores.get(code, 0) + (1 if letters.search(view) else 0)
    most = max(scores.values())
    best = [code for code, score in scores.items() if score == most]
    if not most or (len(best) > 1 and client_code not in best):
        return None
    return client_code if client_code in best else best[0]


@cache
def _common() -> dict[str, frozenset[str]]:
    """Little words by language."""
    told = {code: tongue(code).words["common"] for code in LANGUAGES} | _NEIGHBOURS
    return {code: frozenset(map(fold, words)) for code, words in told.items()}


def _unsealed(view: str) -> str:
    """Without quotations and brackets."""
    kept, last = [], 0
    for start, end in sealed(view):
        kept.append(view[last:start])
        last = end
    return " ".join([*kept, view[last:]])

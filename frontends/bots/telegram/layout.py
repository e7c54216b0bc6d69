"""How a card becomes messages of Telegram: albums of what may stand together, buttons, and the number of each."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any, NamedTuple

from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from frontends.bots.dialogue.rendering import Face, Key
from frontends.bots.dialogue.screen import Artifact, Media
from frontends.bots.limits import TELEGRAM

STYLES = {
    "primary": tl.KeyboardButtonStyle(bg_primary=True),
    "danger": tl.KeyboardButtonStyle(bg_danger=True),
}


class Part(NamedTuple):
    """One message, or one album."""

    files: list[Any]
    text: str = ""
    entities: Any = None
    keyboard: Any = None

    def query(self, peer: Any, random_id: int, reply_to: Any) -> Any:
        """As it is sent."""
        if not self.files:
            return fn.messages.SendMessage(
                peer=peer,
                message=self.text,
                entities=self.entities,
                random_id=random_id,
                reply_to=reply_to,
                reply_markup=self.keyboard,
                no_webpage=True,
            )
        if len(self.files) == 1:
            return fn.messages.SendMedia(
                peer=peer,
                media=self.files[0],
                message=self.text,
                entities=self.entities,
                random_id=random_id,
                reply_to=reply_to,
                reply_markup=self.keyboard,
            )
        first = tl.InputSingleMedia(media=self.files[0], random_id=random_id, message=self.text, entities=self.entities)
        others = [
            tl.InputSingleMedia(media=file, random_id=random_id + place, message="")
            for place, file in enumerate(self.files[1:], 1)
        ]
        return fn.messages.SendMultiMedia(peer=peer, multi_media=[first, *others], reply_to=reply_to)


def laid_out(shown: Face, files: list[tuple[Media, Any]]) -> list[Part]:
    """The messages that a card is: files that may stand together, the text under the last of them, or after it."""
    together = itertools.groupby(((_kind(media), file) for media, file in files), key=lambda one: one[0])
    groups = [[file for _, file in group] for _, group in together]
    most = TELEGRAM.album
    albums = [group[start : start + most] for group in groups for start in range(0, len(group), most)]
    if not albums or (len(albums[-1]) > 1 and shown.keys and not TELEGRAM.album_buttons):
        albums.append([])
    return [
        *(Part(album) for album in albums[:-1]),
        Part(albums[-1], shown.text, entities(shown), keyboard(shown.keys)),
    ]


def random_id(*names: str) -> int:
    """The number of a message, by what it is called: always the same. There is room above it for those of an album."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8]) >> 2 | 1


def _kind(media: Media) -> str:
    """What may stand in one album: pictures and films, or documents."""
    return "document" if isinstance(media, Artifact) and media.shown_as == "document" else "seen"


def entities(shown: Face) -> Any:
    """What of a text the person's client keeps true: moments. None of what was typed is ever more than text."""
    found = [
        tl.MessageEntityFormattedDate(offset=one.offset, length=one.length, date=one.at, relative=True)
        for one in shown.moments
    ]
    return found or None


def keyboard(rows: list[list[Key]]) -> Any:
    if not rows:
        return None
    return tl.ReplyInlineMarkup(
        rows=[tl.KeyboardInlineButtonRow(buttons=[_button(key) for key in row]) for row in rows]
    )


def _button(key: Key) -> Any:
    if key.url:
        return tl.KeyboardInlineButton(text=key.label, type=tl.InlineButtonTypeUrl(url=key.url))
    style = STYLES.get(key.style)
    return tl.KeyboardInlineButton(
        text=key.label, type=tl.InlineButtonTypeCallback(data=key.payload.encode()), style=style
    )

"""What makes the picture a test card: the prompt set like a museum label, over a soft shade at the foot.

Under the prompt stand the label, the seed and the size. All measures follow the picture; the type shrinks for a
long prompt, which ends in an ellipsis when even the smallest type cannot hold it. Characters that no font here
has become small tiles. The caption is made once as a layer, so that a film can lay it over every frame.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFilter

from agent.engine.testcard.brush import Pen, Size, fade
from agent.engine.testcard.colour import RGB, Colour
from agent.engine.testcard.fonts import readable, runs
from agent.engine.testcard.layer import Layer, lay
from agent.engine.testcard.palette import Palette

LABELS = ("TESSERA TEST CARD", "TEST CARD", "TEST")
"""The longest that fits is written."""
ELLIPSIS = "…"
CHARACTERS_MAX = 600
"""More of a prompt can never be shown, so it is not measured either."""
LINES_MAX = 3
LEADING = 1.28
TYPE_MIN = 8
"""Pixels; smaller type cannot be read."""
CAPTION_SHARE_MAX = 0.62
"""Of the picture's height."""


class Setting(NamedTuple):
    """How the caption is set: pixels."""

    lines: list[str]
    type_size: int
    label_size: int
    margin: int

    @property
    def height(self) -> int:
        label = round(self.label_size * 2.1) if self.label_size else 0
        return round(len(self.lines) * self.type_size * LEADING) + label + self.margin


def write_caption(canvas: Image.Image, prompt: str, seed: int, palette: Palette) -> None:
    for layer in caption(canvas.size, prompt, seed, palette):
        lay(canvas, layer)


def caption(size: Size, prompt: str, seed: int, palette: Palette) -> list[Layer]:
    """Shade, shadow of the letters, letters, and the mark of four tiles."""
    setting = _set(size, readable(prompt)[:CHARACTERS_MAX])
    top = size[1] - setting.height
    letters, mark = _letters(size, setting, seed, top)
    shade_tall = min(size[1], round(setting.height * 1.9 + setting.type_size))
    shade = fade((size[0], shade_tall), lambda y: 0.80 * min(1.0, y * 1.15) ** 1.5)
    ink = Colour(0.10, min(0.03, palette.base.chroma), palette.base.hue)
    blur = max(1.0, setting.type_size * 0.14)
    shadow = letters.filter(ImageFilter.GaussianBlur(blur)).point(
        [min(255, level * 2) * 7 // 10 for level in range(256)]
    )
    layers = [
        Layer(ink.rgb, shade, (0, size[1] - shade_tall)),
        Layer(ink.rgb, shadow, (0, top)),
        Layer((250, 248, 243), letters, (0, top)),
    ]
    return layers + (_mark(setting, top + mark, palette) if setting.label_size else [])


def _set(size: Size, text: str) -> Setting:
    """The largest type that holds the text in `LINES_MAX` lines, or the smallest with the text cut."""
    width, height = size
    short = min(width, height * 1.6)
    margin = max(3, round(short * 0.045))
    large = max(TYPE_MIN, round(min(short * 0.038, height * 0.30)))
    small = max(TYPE_MIN, min(large, round(large * 0.62)))
    label_size = max(7, round(large * 0.44)) if height >= 56 and width >= 56 else 0
    room = width - 2 * margin
    tall = height * CAPTION_SHARE_MAX - margin - label_size * 2
    for type_size in (large, (large + small) // 2):
        lines = _wrap(text, type_size, room)
        if len(lines) <= _fits(tall, type_size):
            return Setting(lines, type_size, label_size, margin)
    lines, fits = _wrap(text, small, room), _fits(tall, small)
    if len(lines) > fits:
        lines[fits - 1 :] = [_cut(f"{lines[fits - 1]} {lines[fits]}", small, room)]
    return Setting(lines, small, label_size, margin)


def _fits(tall: float, type_size: int) -> int:
    return min(LINES_MAX, max(1, int(tall / (type_size * LEADING))))


def _wrap(text: str, size: int, room: float) -> list[str]:
    """Lines no wider than `room`, broken between words, or inside one that is too wide itself."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if _width(joined, size) <= room:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for char in word:
            if lines[-1] and _width(lines[-1] + char, size) > room:
                lines.append("")
            lines[-1] += char
        if len(lines) > LINES_MAX + 1:
            break
    return lines


def _cut(line: str, size: int, room: float) -> str:
    while line and _width(line + ELLIPSIS, size) > room:
        line = line[:-1].rstrip()
    return line + ELLIPSIS


def _width(text: str, size: int) -> float:
    return sum(kind.getlength(piece) if kind else len(piece) * _tile(size) for piece, kind in runs(text, size))


def _tile(size: int) -> float:
    return size * 0.55


def _letters(size: Size, setting: Setting, seed: int, top: int) -> tuple[Image.Image, int]:
    """The mask of all that is written, and the height at which the label's line stands."""
    mask = Image.new("L", (size[0], size[1] - top))
    draw = ImageDraw.Draw(mask)
    baseline = float(setting.type_size)
    for line in setting.lines:
        _write(draw, (setting.margin, baseline), line, setting.type_size, 255)
        baseline += setting.type_size * LEADING
    baseline += setting.label_size * 2.1 - setting.type_size
    if setting.label_size:
        _label(draw, size, setting, seed, baseline)
    return mask, round(baseline)


def _label(draw: ImageDraw.ImageDraw, size: Size, setting: Setting, seed: int, baseline: float) -> None:
    """The label in spaced capitals behind the mark; at the right, seed and size where they fit."""
    left = setting.margin + setting.label_size * 1.5
    room = size[0] - setting.margin
    spacing = setting.label_size * 0.14
    widths = {text: _width(text, setting.label_size) + spacing * len(text) for text in LABELS}
    text = next((text for text, wide in widths.items() if left + wide <= room), LABELS[-1])
    x = left
    for char in text:
        _write(draw, (x, baseline), char, setting.label_size, 225)
        x += _width(char, setting.label_size) + spacing
    details = f"seed {seed}  ·  {size[0]} × {size[1]}"
    start = room - _width(details, setting.label_size)
    if start > x + setting.label_size * 2:
        _write(draw, (start, baseline), details, setting.label_size, 190)


def _write(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, tone: int) -> None:
    x, baseline = at
    for piece, kind in runs(text, size):
        if kind is not None:
            draw.text((x, baseline), piece, fill=tone, font=kind, anchor="ls")
            x += kind.getlength(piece)
            continue
        side = max(2.0, size * 0.36)
        for _ in piece:
            draw.rectangle((x, baseline - side, x + side, baseline), fill=tone * 6 // 10)
            x += _tile(size)


def _mark(setting: Setting, baseline: int, palette: Palette) -> list[Layer]:
    """Four tiles in the colours of the picture."""
    side = setting.label_size * 0.92
    left, top = float(setting.margin), baseline - side
    colours: list[RGB] = [
        palette.base.lit(0.66).rgb,
        palette.light.lit(0.90).rgb,
        palette.accent.lit(0.74).rgb,
        palette.base.lit(0.80).rgb,
    ]
    layers = []
    for place, colour in enumerate(colours):
        x, y = left + (place % 2) * side * 0.54, top + (place // 2) * side * 0.54
        pen = Pen(x, y, x + side * 0.5, y + side * 0.5)
        pen.rectangle(x, y, x + side * 0.46, y + side * 0.46)
        layers.append(Layer(colour, pen.mask(), pen.at))
    return layers

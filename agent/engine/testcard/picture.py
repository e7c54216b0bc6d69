"""From a spec to a finished still: scene, finish, caption.

The picture depends on prompt, negative prompt, seed, size and what it starts from alone, byte for byte for one version
of Pillow. What it starts from is painted over as the strength says; an upscale is only enlarged and captioned.
Pictures beyond `DRAWN_PIXELS_MAX` are drawn smaller and enlarged before grain and caption, so that no order,
however large, holds the painter for long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from PIL import Image, ImageChops

from agent.engine.testcard.brush import grain
from agent.engine.testcard.caption import write_caption
from agent.engine.testcard.layer import STRIP_ROWS, Layer, Stage, lay
from agent.engine.testcard.original import painted_over
from agent.engine.testcard.palette import Palette, palette
from agent.engine.testcard.scenes import FAMILIES, family
from control_plane.wire.job import JobSpec

DRAWN_PIXELS_MAX = 2_200_000
WORDS_READ_MAX = 400
GRAIN = 0.035

LAYERS_SHARE = 0.9
"""Of the progress of one picture; the rest is the finish."""


def read(spec: JobSpec, seed: int) -> tuple[list[str], Random]:
    """The words that count, in order, and the generator that everything is drawn from."""
    unwanted = set(_words(spec.negative_prompt))
    words = [word for word in _words(spec.prompt) if word not in unwanted]
    return words, Random(f"{seed}\n{spec.prompt}\n{spec.negative_prompt}")


def scene(spec: JobSpec, seed: int, stage: Stage) -> tuple[Palette, Iterator[tuple[float, Layer]]]:
    """The colours and the layers of a spec, each layer with how much of the scene (0..1) there is with it."""
    words, rng = read(spec, seed)
    colours = palette(words, rng)
    chosen = FAMILIES[family(words, rng)]
    layers = chosen.scene(stage, colours, rng, frozenset(words))
    return colours, ((min(1.0, count / chosen.layers), layer) for count, layer in enumerate(layers, start=1))


def paint(spec: JobSpec, seed: int, start: Image.Image | None = None) -> Iterator[tuple[float, Image.Image]]:
    """Draws one picture, yielding (how far, the canvas so far) after every layer; the last one is finished."""
    if start is not None and spec.upscale is not None:
        yield from _enlarged(spec, seed, start)
        return
    size = (spec.width, spec.height)
    scale = min(1.0, (DRAWN_PIXELS_MAX / (spec.width * spec.height)) ** 0.5)
    stage = Stage(max(8, round(spec.width * scale)), max(8, round(spec.height * scale)))
    colours, layers = scene(spec, seed, stage)
    canvas = Image.new("RGB", stage.size)
    for share, layer in layers:
        lay(canvas, layer)
        yield share * LAYERS_SHARE, canvas
    if canvas.size != size:
        canvas = canvas.resize(size, Image.Resampling.BICUBIC)
    if start is not None:
        canvas = painted_over(start, canvas, spec.strength)
    finish(canvas, Random(seed))
    yield (1 + LAYERS_SHARE) / 2, canvas
    write_caption(canvas, spec.prompt, seed, colours)
    yield 1.0, canvas


def _enlarged(spec: JobSpec, seed: int, start: Image.Image) -> Iterator[tuple[float, Image.Image]]:
    yield LAYERS_SHARE, start
    words, rng = read(spec, seed)
    write_caption(start, spec.prompt or f"{spec.upscale} × larger", seed, palette(words, rng))
    yield 1.0, start


def finish(canvas: Image.Image, rng: Random) -> None:
    """Grain against banding, strip by strip to keep the memory small."""
    for top in range(0, canvas.height, STRIP_ROWS):
        box = (0, top, canvas.width, min(canvas.height, top + STRIP_ROWS))
        strip = canvas.crop(box)
        noise = grain(rng, strip.size, GRAIN)
        canvas.paste(ImageChops.overlay(strip, Image.merge("RGB", (noise, noise, noise))), box)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())[:WORDS_READ_MAX]

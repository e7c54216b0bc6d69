"""From a spec to a film: the scene of the still, seen by a camera that travels slowly sideways.

The scene is painted once, on a stage larger than the frame. For every frame its layers are laid down anew, near ones
moved farther than far ones (parallax), each with its own `Motion`; the caption stands still on top. Encoded as H.264
baseline, yuv420p, with the index in front, so that every phone plays it, and on one thread, so that the same order
gives the same bytes for one version of the libraries.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import takewhile
from math import pi, sin
from pathlib import Path
from typing import NamedTuple

import av
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, ImageChops

from agent.engine.testcard.brush import Size
from agent.engine.testcard.caption import caption
from agent.engine.testcard.layer import STILL, Layer, Stage, lay
from agent.engine.testcard.original import left_behind
from agent.engine.testcard.picture import scene
from control_plane.wire.job import JobSpec

FRAMES, FRAMES_PER_SECOND = 48, 24
"""Where the order leaves them open."""
DRAWN_PIXELS_MAX = 500_000
"""Larger films are drawn smaller and enlarged before the caption."""
PAINTING_SHARE = 0.1
"""Of the progress of a film; the rest is its frames."""
LOOP_SECONDS = 3.0
"""How long the cycles of a `Motion` take; a film has a whole number of such loops."""
TRAVEL = 0.05
"""How far the nearest things move to either side, in widths of the frame."""
MARGIN_ACROSS, MARGIN_ALONG = 0.08, 0.03
"""What the stage is larger on every side, in widths and heights of the frame."""
ENCODING = {
    "profile": "baseline",
    "preset": "veryfast",
    "crf": "20",
    "x264-params": "threads=1:rc-lookahead=12:keyint=48",
    "color_primaries": "bt709",
    "color_trc": "bt709",
    "colorspace": "bt709",
    "color_range": "tv",
}

Frames = Generator[tuple[float, Image.Image], None, None]


class Camera(NamedTuple):
    """What it sees of the stage, in pixels, and how often the stage's motions come round in the film."""

    frame: Size
    across: int
    along: int
    loops: int

    @property
    def stage(self) -> Stage:
        return Stage(self.frame[0] + 2 * self.across, self.frame[1] + 2 * self.along)


def film(spec: JobSpec, seed: int, path: Path, start: Image.Image | None = None) -> Frames:
    """Makes the MP4 at `path`, yielding (how far, the frame at hand); it is whole when 1 is reached."""
    frames, rate = spec.frames or FRAMES, spec.fps or FRAMES_PER_SECOND
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=ENCODING)
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, rate)
        for share, canvas in shots(spec, seed, frames, frames / rate, start):
            if share > PAINTING_SHARE:
                container.mux(stream.encode(_yuv(canvas)))
            if share < 1.0:
                yield share, canvas
        container.mux(stream.encode(None))
    yield 1.0, canvas


def _yuv(canvas: Image.Image) -> av.VideoFrame:
    shot: av.VideoFrame = av.VideoFrame.from_image(canvas)  # type: ignore[no-untyped-call]
    return shot.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def shots(spec: JobSpec, seed: int, frames: int, seconds: float, start: Image.Image | None = None) -> Frames:
    """The scene while it is being painted, up to `PAINTING_SHARE`, and then one frame after the other."""
    size = (spec.width, spec.height)
    camera = camera_for(size, seconds)
    palette, painting = scene(spec, seed, camera.stage)
    layers: list[Layer] = []
    canvas = Image.new("RGB", camera.frame)
    for share, layer in painting:
        layers += _trimmed(layer)
        show(canvas, camera, layer, 0.5)
        yield PAINTING_SHARE * share, canvas
    backdrop, moving = _backdrop(camera, layers)
    captions = caption(size, spec.prompt, seed, palette)
    for frame in range(frames):
        canvas = backdrop.copy()
        for layer in moving:
            show(canvas, camera, layer, (frame + 0.5) / frames)
        canvas = canvas if canvas.size == size else canvas.resize(size, Image.Resampling.BICUBIC)
        if start is not None:
            canvas = left_behind(start, canvas, spec.strength, frame / max(1, frames - 1))
        for layer in captions:
            lay(canvas, layer)
        yield PAINTING_SHARE + (1 - PAINTING_SHARE) * (frame + 1) / frames, canvas


def camera_for(size: Size, seconds: float) -> Camera:
    """The camera of a film of this size and length."""
    scale = min(1.0, (DRAWN_PIXELS_MAX / (size[0] * size[1])) ** 0.5)
    width, height = max(8, round(size[0] * scale)), max(8, round(size[1] * scale))
    across = round(max(width * MARGIN_ACROSS, height * MARGIN_ACROSS)) + 1
    return Camera((width, height), across, round(height * MARGIN_ALONG) + 1, max(1, round(seconds / LOOP_SECONDS)))


def _backdrop(camera: Camera, layers: list[Layer]) -> tuple[Image.Image, list[Layer]]:
    """The farthest layers that never move as one picture, and all others."""
    still = list(takewhile(lambda layer: layer.depth == 0 and layer.motion == STILL, layers))
    backdrop = Image.new("RGB", camera.frame)
    for layer in still:
        show(backdrop, camera, layer, 0.5)
    return backdrop, layers[len(still) :]


def _trimmed(layer: Layer) -> Iterator[Layer]:
    """The layer without its empty borders, but for one pixel to slide in; nothing when it is all empty."""
    if layer.mask is None:
        yield layer
    elif box := layer.mask.getbbox():
        left, top = max(0, box[0] - 1), max(0, box[1] - 1)
        box = (left, top, min(layer.mask.width, box[2] + 1), min(layer.mask.height, box[3] + 1))
        paint = layer.paint.crop(box) if isinstance(layer.paint, Image.Image) else layer.paint
        yield layer._replace(paint=paint, mask=layer.mask.crop(box), at=(layer.at[0] + left, layer.at[1] + top))


def show(canvas: Image.Image, camera: Camera, layer: Layer, time: float) -> None:
    """Lays down one layer as the camera sees it at `time` (0..1)."""
    motion, height = layer.motion, camera.frame[1]
    turn = sin(2 * pi * (motion.cycles * camera.loops * time + motion.phase))
    pan = -sin((time - 0.5) * pi) * TRAVEL * camera.frame[0] * layer.depth
    x = layer.at[0] - camera.across + pan + (motion.sway * turn - motion.drift * (time - 0.5)) * height
    y = layer.at[1] - camera.along + (motion.bob * turn - motion.rise * (time - 0.5)) * height
    mask = layer.mask
    if mask is not None and motion.falls:
        mask = ImageChops.offset(mask, 0, round(motion.falls * camera.loops * time * mask.height) % mask.height)
    if mask is not None and motion.flicker:
        opacity = 1 - motion.flicker * (0.5 + 0.5 * turn)
        mask = mask.point([round(level * opacity) for level in range(256)])
    lay(canvas, _slid(layer._replace(mask=mask), x, y))


def _slid(layer: Layer, x: float, y: float) -> Layer:
    """The layer moved to a place between pixels: without it slow things move in jerks."""
    left, top = int(x // 1), int(y // 1)
    right, down = x - left, y - top
    mask = layer.mask
    if mask is None or (right < 1 / 16 and down < 1 / 16) or min(mask.size) < 3:
        return layer._replace(at=(left, top))
    size = (mask.width - 1, mask.height - 1)
    box = (1 - right, 1 - down, mask.width - right, mask.height - down)
    paint = layer.paint.crop((1, 1, *mask.size)) if isinstance(layer.paint, Image.Image) else layer.paint
    return layer._replace(
        paint=paint, mask=mask.resize(size, Image.Resampling.BILINEAR, box=box), at=(left + 1, top + 1)
    )

"""What `tessera generate` understands, and the order that it becomes. Light: imports nothing until it is used."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import msgspec

    from control_plane.wire.job import SubmitRequest

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE, KEY_VARIABLE = "TESSERA_URL", "TESSERA_API_KEY"

TAKEN_OVER = "kind model steps guidance seed count frames fps max_wait strength upscale".split()
"""Fields of an order that are called here as there."""
FLAGS = {
    "prompt": "PROMPT",
    "negative_prompt": "--negative",
    "width": "--size: the width",
    "height": "--size: the height",
}
FAULTS = (
    (r"length >= 1$", "must not be empty"),
    (r"length <= (\d+)$", "may have at most {} characters"),
    (r">= (\S+)$", "must be at least {}"),
    (r"<= (\S+)$", "may be at most {}"),
    (r"multiple of (\d+)", "must be a multiple of {}"),
    (r"text in UTF-8", "must be text in UTF-8"),
)
"""What msgspec says, and what a person is told."""

EXAMPLES = """\
examples:
  tessera generate "a lighthouse at dusk" -o out.png
  tessera generate "a fox" --size 768x512 --steps 30 --seed 7
  tessera generate "four seasons" --count 4 -o season.png     makes season-1.png to season-4.png
  tessera generate "waves" --kind video --frames 48 -o waves.mp4
  tessera generate "as an oil painting" --image photo.jpg --strength 0.6

Where to order comes from --url and --key, else TESSERA_URL and TESSERA_API_KEY, else from the service of
`tessera up` on this machine. A key on the command line is visible to other users here; prefer the variable.
Ctrl-C cancels the job. The paths of the files are printed to standard output, everything else to standard error.
"""


class Access(NamedTuple):
    """Where to order, and as whom."""

    url: str
    key: str


class Size(NamedTuple):
    width: int
    height: int


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what to make, in words")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file or folder to write (default: named after the prompt)"
    )
    parser.add_argument("--image", metavar="FILE", help="a picture to start from: PNG, JPEG or WebP")
    parser.add_argument("--strength", metavar="X", type=float, help="0 leaves that picture, 1 forgets it")
    parser.add_argument("--kind", choices=("image", "video"), default="image", help="what to order (default: image)")
    parser.add_argument("--model", metavar="NAME", help="default: the service's first model of this kind")
    parser.add_argument("--negative", metavar="TEXT", default="", help="what to keep out of it, in words")
    parser.add_argument("--size", metavar="WxH", type=size, help="pixels, multiples of 8, e.g. 768x512")
    parser.add_argument("--steps", metavar="N", type=int, help="more is finer and slower")
    parser.add_argument("--guidance", metavar="X", type=float, help="how closely to follow the prompt")
    parser.add_argument("--seed", metavar="N", type=int, help="the same seed makes the same again")
    parser.add_argument("--count", metavar="N", type=int, default=1, help="how many, 1 to 4")
    parser.add_argument("--frames", metavar="N", type=int, help="video: number of frames")
    parser.add_argument("--fps", metavar="N", type=int, help="video: frames per second")
    _add_common(parser)


def add_upscale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="FILE", help="the picture to enlarge: PNG, JPEG or WebP")
    parser.add_argument("-o", "--output", metavar="FILE", help="file or folder to write (default: named after it)")
    parser.add_argument("--factor", dest="upscale", type=int, choices=(2, 4), default=2, help="default: 2")
    parser.add_argument("--model", metavar="NAME", help="default: the service's first model")
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-wait", metavar="SECONDS", type=int, help="give up when it has not started by then")
    parser.add_argument("--url", metavar="URL", help=f"address of the service (or {URL_VARIABLE})")
    parser.add_argument("--key", metavar="KEY", help=f"API key (or {KEY_VARIABLE})")


def title(arguments: argparse.Namespace) -> str:
    """What the files are named after when nobody says."""
    given = vars(arguments)
    return str(given.get("prompt") or f"{Path(arguments.image).stem} {given.get('upscale')}x")


def size(text: str) -> Size:
    width, separator, height = text.lower().partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it like 768x512")
    return Size(int(width), int(height))


def access(arguments: argparse.Namespace, environ: Mapping[str, str], local: Access | None) -> Access | None:
    """Where to order: flags, variables, this machine's own service; None when no key is known.

    The key of this machine's service is only ever sent to this machine's service.
    """
    url = arguments.url or environ.get(URL_VARIABLE) or ""
    key = arguments.key or environ.get(KEY_VARIABLE) or ""
    if not key:
        return local if not url else None
    return Access(url or (local.url if local else DEFAULT_URL), key)


def order(arguments: argparse.Namespace) -> SubmitRequest:
    """The order as typed; raises `msgspec.ValidationError` where it cannot be right (see `in_words`)."""
    import msgspec

    from control_plane.wire.job import SubmitRequest

    given = vars(arguments)
    wanted = {name: given.get(name) for name in TAKEN_OVER}
    if (size := given.get("size")) is not None:
        wanted |= {"width": size.width, "height": size.height}
    if "prompt" in given:
        wanted["prompt"] = _readable("prompt", arguments.prompt)
        wanted["negative_prompt"] = _readable("negative_prompt", arguments.negative)
    return msgspec.convert({name: value for name, value in wanted.items() if value is not None}, SubmitRequest)


def _readable(field: str, text: str) -> str:
    """`text`, unless the terminal sent bytes that are no UTF-8."""
    import msgspec

    try:
        text.encode()
    except UnicodeEncodeError:
        raise msgspec.ValidationError(f"Expected text in UTF-8 - at `$.{field}`") from None
    return text


def in_words(error: msgspec.ValidationError) -> str:
    """What is wrong with an order, by the flag that was typed."""
    fault, _, path = str(error).partition(" - at `$.")
    field = path.rstrip("`")
    for pattern, words in FAULTS:
        if found := re.search(pattern, fault):
            fault = words.format(*found.groups())
            break
    flag = FLAGS.get(field) or "--" + field.replace("_", "-")
    return f"{flag} {fault}."


def targets(output: str | None, prompt: str, suffixes: list[str]) -> list[Path]:
    """The file of each artifact. Several of one order get `-1`, `-2` …; a default name never overwrites anything."""
    if not suffixes:
        return []
    base = Path(output) if output else Path()
    folder = base if base.is_dir() or (output or "").endswith("/") else None
    if folder is not None:
        base = _unused(folder / _slug(prompt), suffixes)
    numbers = [f"-{number}" for number in range(1, len(suffixes) + 1)] if len(suffixes) > 1 else [""]
    return [
        base.with_name((base.stem if base.suffix else base.name) + number + (base.suffix or suffix))
        for number, suffix in zip(numbers, suffixes, strict=True)
    ]


def _slug(prompt: str) -> str:
    """The first words of a prompt as a file name."""
    kept = "".join(letter if letter.isalnum() else " " for letter in prompt.lower())
    return "-".join(kept.split()[:6])[:48] or "tessera"


def _unused(base: Path, suffixes: list[str]) -> Path:
    number, candidate = 1, base
    while any(
        candidate.with_name(candidate.name + tail + suffix).exists() for suffix in set(suffixes) for tail in ("", "-1")
    ):
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate

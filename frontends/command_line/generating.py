"""`tessera generate`: order, follow, download; Ctrl-C cancels the job.

The order keeps one Idempotency-Key for as long as the program lives, so neither repetitions nor a Ctrl-C in the very
moment of ordering can double or lose a job: the same order is asked for again under the same key, then canceled.
The job is followed by its stream of events, or by looking now and then where there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from control_plane.wire.input import INPUT_BYTES_MAX
from control_plane.wire.job import JobView, SubmitRequest
from frontends.client import Client, connect
from frontends.command_line import arguments as options
from frontends.command_line.progress import Display
from frontends.problems import ClientError, Refused, Unreachable

AGAIN_SECONDS = 0.5
"""Between two tries to follow a job of a service that does not answer."""
ORDER_PATIENCE_SECONDS = 4.0
"""How long a first contact is tried: an address may be wrong."""
LOOK_PATIENCE_SECONDS = 3.0
"""How long one look at a job is tried before the person hears that nobody answers."""
FOLLOW_PATIENCE_SECONDS = 600.0
"""How long a job is followed through an outage."""
CANCEL_PATIENCE_SECONDS = 15.0

SUFFIXES = {
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}

EX_FAILED, EX_USAGE, EX_NOINPUT, EX_UNAVAILABLE, EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM = 1, 64, 66, 69, 73, 75, 77
"""sysexits(3); 1 means that the job itself came to nothing."""
EX_INTERRUPTED = 128 + signal.SIGINT


def run(arguments: argparse.Namespace, environ: Mapping[str, str], local: options.Access | None) -> int:
    """The whole command; returns its exit code."""
    access = options.access(arguments, environ, local)
    if access is None:
        return _fail(EX_USAGE, _no_access(arguments, environ))
    try:
        order = options.order(arguments)
    except msgspec.ValidationError as error:
        return _fail(EX_USAGE, options.in_words(error))
    if arguments.image and (fault := _unreadable(Path(arguments.image))):
        return _fail(EX_NOINPUT, fault)
    if fault := _unwritable(arguments.output):
        return _fail(EX_CANTCREAT, fault)
    try:
        return asyncio.run(_generate(order, access, arguments))
    except Refused as error:
        return _fail(_refused(error.status), error.sentence)
    except ClientError as error:
        hint = "" if arguments.url else " Is it running? `tessera up` starts it."
        return _fail(EX_UNAVAILABLE, error.sentence + (hint if isinstance(error, Unreachable) else ""))
    except KeyboardInterrupt:
        return _fail(EX_INTERRUPTED, "Interrupted while uploading; nothing was ordered.")
    except asyncio.CancelledError:
        return _fail(EX_INTERRUPTED, "Interrupted while saving; the job itself has succeeded.")
    except OSError as error:
        return _fail(EX_CANTCREAT, f"The result cannot be saved: {error.strerror or error}.")


async def _generate(order: SubmitRequest, access: options.Access, arguments: argparse.Namespace) -> int:
    display, started = Display(), time.monotonic()
    async with connect(access.url, access.key, patience_seconds=ORDER_PATIENCE_SECONDS) as client:
        if arguments.image:
            order = await _started_from(client, order, Path(arguments.image), display)
        job = await _ordered(client, order, display)
        if job is None:
            return EX_INTERRUPTED
        files = await _save(client, job, arguments)
    display.clear()
    if arguments.json:
        print(json.dumps(_summary(job, files)))
    else:
        for file in files:
            print(file)
    if job.status == "succeeded":
        display.say(f"Done in {time.monotonic() - started:.1f} s. Seed {job.seed} makes it again.")
        return os.EX_OK
    display.say(_outcome(job))
    return EX_INTERRUPTED if job.status == "canceled" else EX_FAILED


async def _started_from(client: Client, order: SubmitRequest, image: Path, display: Display) -> SubmitRequest:
    """The order with its picture, which is uploaded first."""
    uploaded = await client.upload(image, lambda count, size: display.upload(image.name, count, size))
    return msgspec.structs.replace(order, input_image=uploaded.id)


async def _ordered(client: Client, order: SubmitRequest, display: Display) -> JobView | None:
    """Order and follow to the end; interrupted, cancel. None: interrupted twice, nothing is known."""
    key = secrets.token_hex(16)
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    job: JobView | None = None
    try:
        job = await client.submit(order, idempotency_key=key)
        client.patience_seconds = LOOK_PATIENCE_SECONDS
        return await _follow(client, job, display)
    except asyncio.CancelledError:
        this.uncancel()
        display.say("Canceling …")
    try:
        client.patience_seconds = CANCEL_PATIENCE_SECONDS
        job = job or await client.submit(order, idempotency_key=key)
        return await _follow(client, await client.cancel(job.id), display)
    except asyncio.CancelledError:
        this.uncancel()
        display.say(f"Interrupted; job {job.id} may go on." if job else "Interrupted; the order may have arrived.")
        return None


async def _follow(client: Client, job: JobView, display: Display) -> JobView:
    """Look at a job until it is over, also through an outage: it goes on without us."""
    heard_at = time.monotonic()
    while True:
        try:
            async for fresh in client.follow(job):
                job, heard_at = fresh, time.monotonic()
                display.show(job)
            return job
        except Unreachable as error:
            if time.monotonic() - heard_at > FOLLOW_PATIENCE_SECONDS:
                raise
            display.note(f"{error.sentence} Trying on; the job is safe.")
            await asyncio.sleep(AGAIN_SECONDS)


async def _save(client: Client, job: JobView, arguments: argparse.Namespace) -> list[Path]:
    suffixes = [SUFFIXES.get(artifact.mime_type, ".bin") for artifact in job.artifacts]
    files = options.targets(arguments.output, options.title(arguments), suffixes)
    for artifact, file in zip(job.artifacts, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        await client.download(artifact, file)
    return files


def _summary(job: JobView, files: list[Path]) -> dict[str, object]:
    error = {"code": job.error.code, "message": job.error.message} if job.error else None
    return {
        "id": str(job.id),
        "status": job.status,
        "seed": job.seed,
        "files": [str(file) for file in files],
        "error": error,
    }


def _outcome(job: JobView) -> str:
    if job.error:
        return f"The job {job.status}: {job.error.message}".replace("job expired", "job has expired")
    return f"The job is {job.status}."


def _unwritable(output: str | None) -> str:
    """Why the result could not be saved; asked before anything is ordered."""
    target = Path(output or ".")
    folder = target if target.is_dir() else target.parent
    if (output or "").endswith("/") or not folder.exists():
        return "" if (output or "").endswith("/") else f"There is no folder {folder}. Make it, or choose another -o."
    if not os.access(folder, os.W_OK):
        return f"Nothing can be written in {folder.absolute()}. Choose another place with -o."
    return ""


def _unreadable(image: Path) -> str:
    """Why a picture could not be uploaded."""
    if not image.is_file():
        return f"There is no picture {image}."
    if not os.access(image, os.R_OK):
        return f"{image} cannot be read."
    if image.stat().st_size > INPUT_BYTES_MAX:
        return f"{image} is larger than {INPUT_BYTES_MAX // 1024**2} MiB, which is the most that is taken."
    return ""


def _no_access(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str:
    if arguments.url or environ.get(options.URL_VARIABLE):
        return f"An API key is needed: set {options.KEY_VARIABLE}, or pass --key."
    return (
        "No service is known: none was started here with `tessera up`."
        f" Start one, or set {options.URL_VARIABLE} and {options.KEY_VARIABLE} (or pass --url and --key)."
    )


def _refused(status: int) -> int:
    if status in (401, 403):
        return EX_NOPERM
    return EX_TEMPFAIL if status in (402, 429) or status >= 500 else EX_USAGE


def _fail(code: int, sentence: str) -> int:
    print(f"tessera: {sentence}", file=sys.stderr)
    return code

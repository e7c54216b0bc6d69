"""Load what is missing: decide everything that can be decided first, then one file after the other.

Before a byte is loaded, the names, the room on the disk, the hashes, the tokens and the licences are settled, so that
nobody comes back after an hour to a question.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping

import aiohttp
import msgspec
from yarl import URL

from agent.models import licence, tokens
from agent.models.cli.looking import told_licence, told_room
from agent.models.depot import Depot, pin
from agent.models.egress import authority, session
from agent.models.part import Busy
from agent.models.plan import Plan, Row, gib
from agent.models.progress import Form, Progress
from agent.models.pull import pull
from agent.models.receive import DiskFull, PullFailed, Wanted
from agent.models.safetensors import NotSafetensors, check_file
from agent.settings import ConfigurationError
from control_plane.wire.weights import WeightFile


async def pull_files(place: Depot, options: argparse.Namespace) -> bool:
    """Raises `ConfigurationError` for what must be decided, `PullFailed` when a file could not be loaded."""
    if not options.names and not options.all:
        raise ConfigurationError("Load what? tessera-agent models pull NAME…, or --all. What there is: models plan")
    whole = place.plan(place.named(options.names) if options.names else None)
    rows = [row for row in whole.files if row.state != "here"]
    if not rows:
        _say(options, {"event": "pull.needless"}, "Everything is here.")
        return True
    _settle_names(rows, options)
    if not whole.fits:
        raise PullFailed(" ".join(told_room(whole)) + " What can go: tessera-agent models remove")
    orders = _orders(place, rows, options)
    _settle_licences(place, whole, options)
    await _load(place, orders, options)
    return True


async def pin_files(place: Depot, names: list[str], *, as_json: bool) -> bool:
    """Whoever pins a file says that he trusts it."""
    for file in sorted(place.named(names)):
        listed, path = place.weights.files.get(file), place.folders.find(file)
        if listed is None or path is None:
            where = "is in no list of weights" if listed is None else f"is not here ({place.folders.target(file)})"
            raise ConfigurationError(f"{file} {where}, so it cannot be pinned.")
        if listed.sha256 is not None:
            raise ConfigurationError(f"{file} needs no pin: its hash is known. Compare: tessera-agent models verify")
        try:
            check_file(path)
        except NotSafetensors as error:
            raise ConfigurationError(
                f"{path} is no safetensors file: {error}. It could run code; delete it."
            ) from error
        sha256 = await asyncio.to_thread(place.hashes.read, path)
        if sha256 is None:
            raise PullFailed(f"{path} was changed while it was read.", again=True)
        pin(place.settings.pins_file, file, sha256)
        facts = {"event": "file.pinned", "file": file, "sha256": sha256}
        print(msgspec.json.encode(facts).decode() if as_json else f"pinned {file}: {sha256}")
    return True


def _settle_names(rows: list[Row], options: argparse.Namespace) -> None:
    for row in rows:
        if row.licence is None:
            raise ConfigurationError(f"{row.file} is in no list of weights, so nobody knows where to load it from.")
        if row.state == "other" and not options.replace:
            raise ConfigurationError(f"Another file called {row.file} is here. To load it anew over it, add --replace.")
        if not row.hashed and not options.pin:
            raise ConfigurationError(
                f"Nobody has published a hash of {row.file}, so nothing could tell it from another file. To trust what"
                " its source gives today, and to take nothing else from then on, add --pin."
            )


def _settle_licences(place: Depot, whole: Plan, options: argparse.Namespace) -> None:
    """Each of them is accepted, now or before."""
    for key in options.accept:
        if key not in place.weights.licences:
            known = ", ".join(sorted(place.weights.licences))
            raise ConfigurationError(f"There is no licence {key!r} to accept. There are: {known}.")
    book = place.settings.licences_file
    for key in whole.licences:
        found = place.weights.licences[key]
        if licence.is_accepted(licence.load(book), key, found):
            continue
        told = "\n".join(told_licence(place, key))
        if key in options.accept:
            given = licence.accept(book, key, found, "option")
        elif sys.stdin.isatty() and sys.stderr.isatty() and not options.json and _agrees(told):
            given = licence.accept(book, key, found, "asked")
        else:
            raise ConfigurationError(f"A licence must be accepted first:\n{told}\nIf you do: add --accept {key}")
        facts = {"event": "licence.accepted", "licence": key, "who": given.who}
        _say(options, facts, f"Accepted by {given.who}: {found.name} ({found.version}), noted in {book}")


def _agrees(told: str) -> bool:
    print(f"{told}\nDo you accept this licence? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _orders(place: Depot, rows: list[Row], options: argparse.Namespace) -> list[Wanted]:
    known = tokens.load(place.settings.tokens_file, place.settings.models_token)
    return [_order(place, place.weights.files[row.file], known, options) for row in rows]


def _order(place: Depot, file: WeightFile, known: dict[str, str], options: argparse.Namespace) -> Wanted:
    hosts = {authority(URL(source)) for source in file.sources}
    own = {host: token for host, token in known.items() if host in hosts} if file.gated else {}
    if file.gated and not own:
        first = authority(URL(file.sources[0]))
        raise ConfigurationError(
            f"{file.path} is gated: accept its licence at {file.sources[0]}, then put your token for {first} into"
            f' {place.settings.tokens_file} (chmod 600): "{first}" = "…"'
        )
    return Wanted(
        path=file.path,
        target=place.folders.target(file.path),
        bytes=file.bytes,
        sha256=file.sha256,
        sources=file.sources,
        tokens=own,
        plain=options.plain_http,
        replace=options.replace,
    )


async def _load(place: Depot, orders: list[Wanted], options: argparse.Namespace) -> None:
    """One failure does not keep the others from coming; a full disk does."""
    failures: list[PullFailed] = []
    async with session() as client:
        for order in orders:
            try:
                await _load_one(place, order, client, options)
            except DiskFull as error:
                failures.append(error)
                break
            except PullFailed as error:
                failures.append(error)
            except Busy:
                failures.append(PullFailed(f"{order.path} is being loaded by somebody else just now.", again=True))
    if failures:
        again = any(failure.again for failure in failures)
        raise PullFailed("\n".join(str(failure) for failure in failures), again=again)


async def _load_one(place: Depot, order: Wanted, client: aiohttp.ClientSession, options: argparse.Namespace) -> None:
    _say(
        options,
        {"event": "pull.started", "file": order.path, "total": order.bytes},
        f"{order.path} ({gib(order.bytes)})",
    )
    progress = Progress(order.path, order.bytes, _form(options), sys.stdout.write if options.json else _write)
    try:
        sha256 = await pull(order, client, progress)
    except asyncio.CancelledError:
        progress.end()
        print("Stopped. What came is kept; the same command goes on from there.", file=sys.stderr)
        raise
    finally:
        progress.end()
    place.hashes.learn(order.target, sha256)
    if order.sha256 is None:
        pin(place.settings.pins_file, order.path, sha256)
        warning = f"Warning: trusted at first sight and pinned: {order.path} is {sha256} from now on."
        print(warning, file=sys.stderr)
    facts = {"event": "pull.succeeded", "file": order.path, "sha256": sha256, "path": str(order.target)}
    _say(options, facts, f"  is here: {order.target}")


def _form(options: argparse.Namespace) -> Form:
    return "json" if options.json else "bar" if sys.stderr.isatty() else "lines"


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _say(options: argparse.Namespace, facts: Mapping[str, object], sentence: str) -> None:
    print(msgspec.json.encode(facts).decode() if options.json else sentence, flush=True)

"""`tessera worker enroll-token | list | drain | resume | revoke`: the machines that do the work."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from control_plane.cli import lan, premises, printing
from control_plane.cli.operating import hint, settings, the_time, verb
from control_plane.cli.parsing import EX_USAGE, CommandError, command, noun, unknown

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.settings import Settings
    from control_plane.workers.roster import Listed, Worker


def add(commands: Any) -> None:
    verbs = noun(commands, "worker", help="machines that do the work: enroll-token, list, drain, resume, revoke")
    enroll = command(
        verbs,
        "enroll-token",
        verb(_enroll_token),
        help="make a one-time token for a new machine",
        description="Make a one-time token with which a machine becomes a worker. It is shown once.",
        examples="  tessera worker enroll-token --name gaming-pc",
    )
    enroll.add_argument("--name", metavar="NAME", help="what to call the machine (default: it says itself)")
    enroll.add_argument(
        "--trust", choices=("own", "guest"), default="own", help="own (default), or somebody else's: guest"
    )
    enroll.add_argument("--hours", metavar="N", type=float, default=1.0, help="how long it is good for (default: 1)")
    listing = command(verbs, "list", verb(_list), help="list the machines and how they are")
    listing.add_argument("--all", action="store_true", help="also those that were revoked")
    for name, work, told in (
        ("drain", _drain, "let a machine finish what it holds and take no more; its agent then ends"),
        ("resume", _resume, "take a drain or a quarantine back"),
        ("revoke", _revoke, "end a machine's rights for ever; its jobs go to others at once"),
    ):
        one = command(verbs, name, verb(work), help=told, examples=f"  tessera worker {name} gaming-pc")
        one.add_argument("worker", metavar="WORKER", help="its name or id, as in `tessera worker list`")


async def _enroll_token(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.release.line import LOOPBACK, carrying, enroll_line, install_line
    from control_plane.workers import roster

    chosen = (arguments.name, arguments.trust, arguments.hours)
    reached = _reached()
    token = carrying(await roster.create_token(database, *chosen, audit.OPERATOR), reached)
    if arguments.json:
        printing.as_json({"token": token, "url": reached.base_url, "command": install_line(token, reached)})
        return 0
    print(f"On the machine that shall work (Linux, or WSL2 in Windows), within {arguments.hours:g} h:\n")
    print(f"  {install_line(token, reached)}\n\nWhere tessera-agent is installed already:\n")
    print(f"  {enroll_line(token, reached)}\n  tessera-agent run\n")
    print("The token works once and is not shown again. The address must be one that machine can reach.")
    if urlsplit(reached.base_url).hostname in LOOPBACK:
        print("This one is for this machine alone: for others, start with `tessera up --lan`.")
    return 0


def _reached() -> Settings:
    """The settings, with the address by which machines come."""
    import msgspec

    chosen = lan.announced(settings())
    if chosen.public_url is None and (here := premises.address(chosen.data_dir)) is not None:
        return msgspec.structs.replace(chosen, public_url=here)
    return chosen


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.workers.roster import condition

    found = await known(database, with_revoked=arguments.all)
    if arguments.json:
        printing.as_json([{**printing.fields(w), "condition": condition(w)} for w in found])
        return 0
    now = await the_time(database)
    printing.table(
        ("name", "condition", "slots", "leases", "serves", "gpu", "last seen", "version", "id"),
        [
            (
                listed.worker.name,
                condition(listed),
                len(listed.slots),
                listed.worker.leases,
                sorted({lane for slot in listed.slots for lane in slot.lanes}),
                [words for slot in listed.slots if (words := gpu_words(slot.gpu))] if listed.worker.live else [],
                printing.ago(listed.worker.last_seen_at, now),
                listed.worker.agent_version,
                listed.worker.id,
            )
            for listed in found
        ],
        empty="There is no worker yet. Enrol one: tessera worker enroll-token",
    )
    if names := _with_another_agent(found):
        printing.note(
            f"Another agent than this control plane hands out: {', '.join(names)}. There: tessera-agent update"
        )
    return 0


def _with_another_agent(found: list[Listed]) -> list[str]:
    """Machines whose agent an installer has brought, but not the one of this code. They go on working all the same."""
    from control_plane.release.wheel import Unpackable, pack

    try:
        ours = pack().version
    except Unpackable:
        return []
    there = [(listed.worker.name, listed.worker.agent_version) for listed in found if not listed.worker.revoked_at]
    return [name for name, version in there if "+" in version and version != ours]


async def _drain(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.workers import roster

    worker = await _find(database, arguments.worker)
    await roster.drain(database, worker.id, audit.OPERATOR)
    await hint(database, "worker", worker.id)
    return _done(arguments, worker, "draining", f"{worker.name} finishes what it holds and takes no more.")


async def _resume(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.workers import roster

    worker = await _find(database, arguments.worker)
    await roster.resume(database, worker.id, audit.OPERATOR)
    await hint(database, "worker", worker.id)
    sentence = (
        f"{worker.name} may take work again. If its agent ended with the drain, start it there: tessera-agent run"
    )
    return _done(arguments, worker, "resumed", sentence)


async def _revoke(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.workers import roster

    worker = await _find(database, arguments.worker)
    ended = await roster.revoke(database, worker.id, audit.OPERATOR)
    await hint(database, "credential", worker.id)
    await hint(database, "worker", worker.id)
    for job in ended:
        if job.tag is not None:
            await hint(database, "lane", job.lane_id, repr(job.tag), 1)
    return _done(arguments, worker, "revoked", f"{worker.name} may do nothing more; {len(ended)} jobs went back.")


def _done(arguments: argparse.Namespace, worker: Worker, now: str, sentence: str) -> int:
    if arguments.json:
        printing.as_json({"id": worker.id, "name": worker.name, "condition": now})
    else:
        print(sentence)
    return 0


async def known(database: Database, *, with_revoked: bool = False) -> list[Listed]:
    """Every worker with its slots."""
    from control_plane.workers import roster

    return await roster.list_all(database, settings().lease_seconds, with_revoked=with_revoked)


def gpu_words(known: dict[str, Any]) -> str:
    """What a slot's GPU says of itself: `61 °C 220 W 8.1/24 GiB`."""
    numbers = {name: value for name, value in known.items() if isinstance(value, int | float)}
    words = [
        f"{numbers[name]:.0f} {unit}"
        for name, unit in (("temperature_celsius", "°C"), ("power_watts", "W"))
        if name in numbers
    ]
    if "vram_used_gib" in numbers and "vram_total_gib" in numbers:
        words.append(f"{numbers['vram_used_gib']:.1f}/{numbers['vram_total_gib']:.0f} GiB")
    return " ".join([*words, *(["busy elsewhere"] if numbers.get("yielded") else [])])


async def _find(database: Database, word: str) -> Worker:
    from control_plane.errors import NotFound
    from control_plane.workers import roster

    try:
        return await roster.find(database, word)
    except NotFound as error:
        names = [listed.worker.name for listed in await known(database)]
        if word in names:
            raise CommandError(error.detail, EX_USAGE) from None
        raise unknown("worker", word, names, cure="Enrol one: tessera worker enroll-token") from None

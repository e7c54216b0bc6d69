"""`tessera check`: the settings in effect, and whether the service could keep its promises with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_plane.cli import premises, printing
from control_plane.cli.operating import operate, settings
from control_plane.cli.parsing import EX_CONFIG, EX_FAILED, CommandError, command

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import DurabilityRow
    from control_plane.settings import Settings


def add(commands: Any) -> None:
    made = command(
        commands,
        "check",
        _check,
        help="show the settings in effect and test what they lead to",
        description=(
            "Show every setting with its value (passwords hidden), then test the database: whether it answers, has "
            "the schema of this Tessera, and keeps what it has confirmed, also when a standby takes over; read the "
            "policy file and the workflows; and write, read and delete a file where artifacts lie. Exit code 78 when "
            "something must be changed first."
        ),
        examples="  tessera check\n  tessera check --launch    before strangers are let in, on the running service",
    )
    made.add_argument(
        "--launch", action="store_true", help="try the running service as its customers will; 1 = not yet"
    )
    made.add_argument("--url", metavar="URL", help="where it is asked, with --launch (default: where it listens here)")


def _check(arguments: argparse.Namespace) -> int:
    from control_plane.settings import effective

    if arguments.launch:
        return operate(lambda database: _launch(arguments, database))

    chosen = settings()
    shown = effective(chosen)
    if not arguments.json:
        printing.listing(shown)
        print()
    try:
        durability, forbidden = operate(_in_database)
        problems = [*_promises(durability), *_room(chosen), *_policy(chosen)]
        server = durability.version
    except CommandError as error:
        problems, server, forbidden = [str(error)], "", []
    faults, files = _files(chosen)
    problems += [*faults, *_workflows(chosen)]
    notes = [*forbidden, *_sandbox(chosen), *files]
    if arguments.json:
        printing.as_json({"settings": shown, "postgresql": server, "problems": problems, "notes": notes})
    else:
        for note in notes:
            print(f"NOTE: {note}")
        print("\n".join(f"PROBLEM: {problem}" for problem in problems) or f"All is well (PostgreSQL {server}).")
    return EX_CONFIG if problems else 0


async def _launch(arguments: argparse.Namespace, database: Database) -> int:
    """One tick or cure a line."""
    from control_plane.cli.launch import Launch

    chosen = settings()
    url = arguments.url or premises.address(chosen.data_dir) or chosen.base_url
    ticks = []
    async for tick in Launch(database, chosen, url.rstrip("/")).ticks():
        ticks.append(tick)
        if not arguments.json:
            print(f"{'[x]' if tick.well else '[ ]'} {tick.name:<9} {tick.found}", flush=True)
            if not tick.well:
                print(f"{'':<14}{tick.cure}", flush=True)
    if arguments.json:
        printing.as_json(ticks)
    return 0 if all(tick.well for tick in ticks) else EX_FAILED


async def _in_database(database: Database) -> tuple[DurabilityRow, list[str]]:
    from control_plane.operator.tables import DURABILITY

    found = await database.one(DURABILITY)
    assert found is not None
    return found, await _forbidden(database)


async def _forbidden(database: Database) -> list[str]:
    """What is sold for money although its licence forbids that, or nobody has looked."""
    import msgspec

    from control_plane.money import plans
    from control_plane.operator.tables import WORKFLOWS
    from control_plane.orders.manifests import commercial
    from control_plane.wire.model import ModelLicence

    priced = [plan.name for plan in await database.many(plans.LIST) if plan.price_cents]
    rows = await database.many(WORKFLOWS, {"live_seconds": settings().lease_seconds}) if priced else []
    told = []
    for row in rows:
        if row.withdrawn_at is not None or row.paused or not row.able_slots:
            continue
        licences = msgspec.json.decode(row.licences, type=list[ModelLicence])
        verdict = commercial(licences, all_known=bool(licences))
        no = ", ".join(licence.name for licence in licences if licence.commercial == "no")
        if verdict == "no":
            why = f"its licence ({no}) forbids to earn money with it"
        elif verdict is None:
            why = "no list of weights says under which licence"
        else:
            continue
        told.append(
            f"The workflow {row.name} is sold, and {why}, but money is taken for the plans {', '.join(priced)}."
            " Pause the model (tessera pause model) or take its files away."
        )
    return told


def _workflows(chosen: Settings) -> list[str]:
    from control_plane.orders import manifests

    found = manifests.examine(manifests.folders(chosen.workflows_folder))
    return [
        " ".join(said) if name == manifests.LISTS else f"The workflow {name} cannot be used as it is: {' '.join(said)}"
        for name, said in found.faults.items()
    ]


def _promises(found: DurabilityRow) -> list[str]:
    """What would let an acknowledged order be lost."""
    problems = []
    if not found.fsync or not found.full_page_writes:
        problems.append("PostgreSQL does not write safely: set fsync and full_page_writes to on.")
    if found.synchronous_commit not in ("on", "remote_apply", "local"):
        problems.append(
            f"synchronous_commit is {found.synchronous_commit}: a crash would lose orders that were confirmed."
            " Set it to on."
        )
    if found.standbys and not found.waits_for_standby:
        problems.append(
            "A standby follows without being waited for, so a failover would lose orders that were confirmed."
            " Set synchronous_standby_names."
        )
    return problems


def _room(chosen: Settings) -> list[str]:
    import shutil

    folder = chosen.artifacts_folder
    while not folder.exists() and folder != Path(folder.anchor):
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= chosen.disk_reserve_bytes:
        return []
    return [
        f"Only {free // 1024**2} MiB are free in {folder}, so orders are refused."
        " Free some space, or lower TESSERA_DISK_RESERVE_BYTES."
    ]


def _files(chosen: Settings) -> tuple[list[str], list[str]]:
    """What is wrong with the place of the artifacts, and how they come and go."""
    import asyncio

    from control_plane.settings import ConfigurationError
    from control_plane.store import open_store
    from control_plane.store.checkup import examine

    try:
        found = asyncio.run(examine(open_store(chosen)))
    except ConfigurationError as error:
        return [str(error)], []
    if found.fault is not None:
        return [found.fault], []
    if chosen.artifacts_url is None or chosen.artifacts_url.startswith("file:"):
        return [], []
    if found.indirect is not None:
        return [], [f"Files go through this service and not straight to {found.where}: {found.indirect}."]
    return [], [
        f"Customers and agents are sent straight to {found.where}, so it must be reachable for them;"
        " if it is not, add direct=no to TESSERA_ARTIFACTS_URL."
    ]


def _policy(chosen: Settings) -> list[str]:
    from control_plane.conduct import policy
    from control_plane.settings import ConfigurationError

    try:
        policy.read(chosen.policy)
    except ConfigurationError as error:
        return [str(error)]
    return []


def _sandbox(chosen: Settings) -> list[str]:
    """What test keys will miss here; the service does without."""
    from control_plane.sandbox import drawing

    lacking = drawing.missing() if chosen.sandbox else []
    if not lacking:
        return []
    return [
        f"The sandbox cannot draw all that test keys order; not installed: {', '.join(lacking)}."
        " Install it, or set TESSERA_SANDBOX=false where no test key is used."
    ]

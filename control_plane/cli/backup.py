"""`tessera backup`: everything that this service is, to a place that is not this machine; its key; what there is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import settings, translated
from control_plane.cli.parsing import EX_CONFIG, EX_INTERRUPTED, CommandError, command

if TYPE_CHECKING:
    from control_plane.backup.making import Made
    from control_plane.backup.records import Backup
    from control_plane.settings import Settings

LISTED = 20


def add(commands: Any) -> None:
    made = command(
        commands,
        "backup",
        _backup,
        help="back everything up, and prove that it can be restored",
        description=(
            "Back up the database, pictures, settings, keys and bots to TESSERA_BACKUP_URL, closed to the key in "
            "TESSERA_BACKUP_RECIPIENT. What was written is read back, restored into an empty server and compared to "
            "the row. Kept are seven days, four weeks and six months. `tessera up` does this every night at "
            "TESSERA_BACKUP_AT; without it, a timer should."
        ),
        examples=(
            "  tessera backup key                 once: make the key that opens backups\n"
            "  tessera backup                     make one now\n"
            "  tessera backup list                what was made, and whether it was proven"
        ),
    )
    made.add_argument("--no-proof", action="store_true", help="do not try to restore what was written")
    made.add_argument("--first", action="store_true", help="the place is new: earlier backups may be missing there")
    verbs = made.add_subparsers(metavar="VERB")
    command(
        verbs,
        "stream",
        _stream,
        help="follow the embedded database, so that any minute can be restored; until Ctrl-C",
        description=(
            "Besides the nightly backups: put a base backup of the embedded database to TESSERA_BACKUP_URL once a "
            "week, and its log every minute, until Ctrl-C. Then `tessera restore FROM --until TIME` goes back to any "
            "minute. Run it beside `tessera up`. A server of your own has means of its own (pgBackRest, your provider)."
        ),
        json=False,
    )
    command(verbs, "key", _key, help="make the pair of keys that closes and opens backups")
    listed = command(verbs, "list", _list, help="tell which backups were made, and whether they were proven")
    listed.add_argument("--limit", metavar="N", type=int, default=LISTED, help=f"at most so many (default: {LISTED})")


def _backup(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane import log
    from control_plane.cli.operating import owned_database

    chosen = settings()
    if chosen.backup_url is None:
        raise CommandError(
            "TESSERA_BACKUP_URL is not set. It names a folder on another disk or machine (file:///mnt/disk/tessera)"
            " or a bucket (s3://bucket/prefix).",
            EX_CONFIG,
        )
    log.configure("warning", chosen.log_format)
    with translated(), owned_database(chosen) as url:
        try:
            made = asyncio.run(_make(arguments, chosen, url))
        except asyncio.CancelledError:
            raise CommandError("The backup was stopped before its end.", EX_INTERRUPTED) from None
    if arguments.json:
        printing.as_json(made)
    else:
        _tell(made, chosen)
    return 0


async def _make(arguments: argparse.Namespace, chosen: Settings, url: str) -> Made:
    """SIGTERM stops it in order, so that nothing lies about and the record says so."""
    import asyncio
    import signal

    from control_plane.backup import making
    from control_plane.backup.places import open_place
    from control_plane.cli.program import version

    task = asyncio.current_task()
    assert task is not None
    assert chosen.backup_url is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    place = open_place(chosen.backup_url)
    return await making.make(chosen, url, place, version(), proof=not arguments.no_proof, first=arguments.first)


def _tell(made: Made, chosen: Settings) -> None:
    print(f"Backed up to {made.place}: {made.name}, {_size(made.bytes)}.")
    print(f"  {made.rows} rows of {made.tables} tables; {_pictures(made)}")
    if not made.sealed:
        print("  It is NOT encrypted: whoever can read that place can read everything (TESSERA_BACKUP_RECIPIENT=none).")
    for what in made.left_out:
        print(f"  Left out: {what}")
    if made.files_missing:
        missing = len(made.files_missing)
        print(f"  {missing} pictures were deleted meanwhile, or are missing from {chosen.artifacts_folder}.")
    if made.dropped:
        print(f"  {len(made.dropped)} older backups were not needed any more and are gone.")
    if made.verified:
        print("  Proven: read back, restored into an empty server, and the same to the row; the books agree.")
    else:
        print("  Not proven: nobody has tried to restore it.")


def _pictures(made: Made) -> str:
    if made.files_kept:
        return f"{made.files} pictures, {made.files_new} of them new."
    return f"the list of {made.files} pictures. They stay in their bucket: see to its own versions and copies."


def _stream(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane import embedded, log

    chosen = settings()
    if chosen.database_url:
        raise CommandError("TESSERA_DATABASE_URL names a server of your own: use its own means.", EX_CONFIG)
    if chosen.backup_url is None:
        raise CommandError("TESSERA_BACKUP_URL is not set; see `tessera backup --help`.", EX_CONFIG)
    log.configure("warning", chosen.log_format)
    with translated():
        server = embedded.start(chosen.data_dir)
        try:
            asyncio.run(_follow(chosen, server.url(embedded.SUPERUSER)))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return 0
        finally:
            server.stop()
    return 0


async def _follow(chosen: Settings, url: str) -> None:
    import asyncio
    import signal

    from control_plane.backup import streaming
    from control_plane.backup.places import open_place
    from control_plane.backup.sealing import Seal

    task = asyncio.current_task()
    assert task is not None
    assert chosen.backup_url is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await streaming.stream(url, open_place(chosen.backup_url), Seal(chosen.backup_recipient), chosen.data_dir)


def _key(arguments: argparse.Namespace) -> int:
    from control_plane.backup import sealing

    with translated():
        secret, public = sealing.new_key()
    if arguments.json:
        printing.as_json({"secret": secret, "recipient": public})
        return 0
    print("This key OPENS your backups. It is shown only now and kept nowhere. Put it where this machine is not:")
    print(f"a password manager, a sheet of paper. Without it no backup can ever be read.\n\n  {secret}\n")
    print(f"This key CLOSES them. Set it here:\n\n  TESSERA_BACKUP_RECIPIENT={public}\n")
    print("To restore, write the first key into a file: tessera restore FROM --identity FILE")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from control_plane.backup import records
    from control_plane.cli.operating import operate

    found = operate(lambda database: records.recent(database, arguments.limit))
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("started", "name", "size", "pictures", "missing", "state", "place"),
        [
            (
                row.started_at,
                row.name,
                _size(row.bytes or 0),
                row.files,
                row.files_missing,
                _state(row),
                row.place if row.sealed else f"{row.place} (not encrypted)",
            )
            for row in found
        ],
        empty="No backup was ever made. `tessera backup --help` says how.",
    )
    return 0


def _state(row: Backup) -> str:
    if row.error:
        return f"failed: {row.error}"
    if row.ended_at is None:
        return "never ended"
    return "proven" if row.verified_at else "not proven"


def _size(count: int) -> str:
    return f"{count / 1024**2:.1f} MiB"

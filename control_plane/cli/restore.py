"""`tessera restore`: the service from a backup, on an empty machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_plane.cli import premises, printing
from control_plane.cli.addresses import database_address
from control_plane.cli.operating import owned_database, settings, translated
from control_plane.cli.parsing import EX_UNAVAILABLE, CommandError, command

if TYPE_CHECKING:
    from control_plane.backup.restoring import Restored
    from control_plane.settings import Settings

SHOWN_MAX = 5


def add(commands: Any) -> None:
    made = command(
        commands,
        "restore",
        _restore,
        help="make the service again from a backup",
        description=(
            "Bring back the database, pictures, keys and bots of a backup, into the data folder and database of the "
            "settings, and compare what has come with what was backed up. Nothing that is there is written over "
            "without --force. Stop Tessera before."
        ),
        examples=(
            "  tessera restore /mnt/disk/tessera --identity key.txt              the newest backup there\n"
            "  tessera restore /mnt/disk/tessera/tessera-20261123T033000Z.tar.age --identity key.txt\n"
            "  tessera restore 's3://bucket/prefix?region=eu-central-1' --identity key.txt --into @database.url"
        ),
    )
    made.add_argument("source", metavar="FROM", help="folder or address of the backups, or of one of them")
    made.add_argument(
        "--identity", metavar="FILE", help="file with the secret key that `tessera backup key` has printed"
    )
    made.add_argument(
        "--into",
        metavar="URL",
        help="another database than that of the settings, as its owner; @FILE reads the address from a file",
    )
    made.add_argument(
        "--until",
        metavar="TIME",
        type=_moment,
        help="as it was at this moment (2026-11-23T20:15Z), from what `tessera backup stream` has brought",
    )
    made.add_argument("--force", action="store_true", help="drop what is in the database, and write over files")


def _restore(arguments: argparse.Namespace) -> int:
    import asyncio

    chosen = settings()
    if premises.running(chosen.data_dir):
        raise CommandError(f"Tessera is running on {chosen.data_dir}. Stop it, and try again.", EX_UNAVAILABLE)
    identity = None if arguments.identity is None else Path(arguments.identity).expanduser()
    with translated():
        if arguments.until is not None:
            return asyncio.run(_rewind(arguments, chosen, identity))
        restored = asyncio.run(_work(arguments, chosen, identity))
    if arguments.json:
        printing.as_json(restored)
    else:
        _tell(restored, chosen)
    return 0


async def _work(arguments: argparse.Namespace, chosen: Settings, identity: Path | None) -> Restored:
    from control_plane.backup import restoring
    from control_plane.backup.sealing import Opener

    opener = Opener(identity)
    found = await restoring.choose(restoring.address_of(arguments.source))
    restoring.check_folder(chosen.data_dir, force=arguments.force)
    with _target(chosen, arguments.into) as url:
        return await restoring.restore(chosen, url, found, opener, force=arguments.force)


async def _rewind(arguments: argparse.Namespace, chosen: Settings, identity: Path | None) -> int:
    from control_plane.backup import restoring, rewinding
    from control_plane.backup.places import open_place
    from control_plane.backup.sealing import Opener

    place = open_place(restoring.address_of(arguments.source))
    restoring.check_folder(chosen.data_dir, force=arguments.force)
    rewound = await rewinding.rewind(chosen, place, Opener(identity), arguments.until)
    if arguments.json:
        printing.as_json(rewound)
        return 0
    print(
        f"The database is as it was at {rewound.until}: {rewound.rows} rows, from {rewound.segments} parts of its log."
    )
    print(f"  {rewound.files} pictures brought back; {len(rewound.files_missing)} had not yet been backed up.")
    print(f"  Keys and bots are those of {rewound.belongings_of or 'no backup: there was none before'}.")
    print("Then start as ever: tessera up.")
    return 0


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment like 2026-11-23T20:15Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def _target(chosen: Settings, into: str | None) -> Iterator[str]:
    if into is not None:
        yield database_address(into)
        return
    with owned_database(chosen, current=False) as url:
        yield url


def _tell(restored: Restored, chosen: Settings) -> None:
    print(f"Restored {restored.name}, as it was at {restored.taken_at}:")
    print(f"  {restored.rows} rows, the same as were backed up; the books agree.")
    print(f"  {restored.files} pictures brought back; {restored.belongings} files of keys, bots and workflows.")
    if restored.files_missing:
        shown = ", ".join(restored.files_missing[:SHOWN_MAX])
        print(f"  {len(restored.files_missing)} pictures could not be had: {shown}")
    if restored.migrated:
        print(f"  Brought up to this Tessera: {', '.join(restored.migrated)}.")
    print(f"The settings of then lie in {chosen.data_dir / 'restored'}: look at them, and set what still holds.")
    print("Then start as ever: tessera up (or the units). Jobs that were running begin anew.")

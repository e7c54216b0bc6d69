"""What a request or a loop may need, in one hand: made by `app`, given to use cases, never reached for globally."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from control_plane.care.export import Exports
from control_plane.conduct.judgement import Conduct
from control_plane.database import Database
from control_plane.files.artifacts import Uploads
from control_plane.files.intake import Intake
from control_plane.files.provenance import Notes
from control_plane.gauges import Gauges
from control_plane.media.thumbnails import Thumbnails
from control_plane.money.rates import Reads
from control_plane.orders.idempotency import Repetitions
from control_plane.orders.models import Catalogue
from control_plane.orders.shelf import Shelf
from control_plane.people.credentials import Credentials
from control_plane.queue.dispatch import Dispatcher
from control_plane.queue.looks import Looks
from control_plane.queue.waiting import Lines
from control_plane.settings import Settings
from control_plane.signin.oauth import OAuth
from control_plane.signing import SigningKeys
from control_plane.store import Store
from control_plane.store.disk import Disk
from control_plane.store.pulse import Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One per process."""

    settings: Settings
    database: Database
    dispatcher: Dispatcher
    looks: Looks
    repetitions: Repetitions
    credentials: Credentials
    reads: Reads
    conduct: Conduct
    shelf: Shelf
    catalogue: Catalogue
    lines: Lines
    disk: Disk
    gauges: Gauges
    signing_keys: SigningKeys
    store: Store
    pulse: Pulse
    thumbnails: Thumbnails
    uploads: Uploads
    exports: Exports
    intake: Intake
    provenance: Notes
    oauth: OAuth
    tasks: asyncio.TaskGroup
    """Everything that runs beside requests belongs to it."""

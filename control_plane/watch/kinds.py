"""The kinds of trouble: what each is called, how long it lasts before it is told, and where to read what to do."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Kind = Literal[
    "no_worker",
    "job_overdue",
    "ledger_violated",
    "backup_late",
    "backup_failed",
    "disk_low",
    "bot_dead",
    "report_waiting",
    "payment_unmatched",
    "certificate_ending",
]
RUNBOOK = "ops/docs/runbook.md"


class About(msgspec.Struct, frozen=True):
    title: str
    section: str
    """Of the runbook."""
    patience_seconds: float = 0.0
    """What lasts no longer is not told."""

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{anchor(self.section)}"


KINDS: dict[Kind, About] = {
    "no_worker": About("Nobody is there to do what waits", "No picture comes"),
    "job_overdue": About("An order waits longer than it may", "Jobs wait too long", 60.0),
    "ledger_violated": About("The books disagree", "Money looks wrong"),
    "backup_late": About("The backup is late", "A backup is late or failed"),
    "backup_failed": About("A backup has failed", "A backup is late or failed"),
    "disk_low": About("The disk is nearly full", "The disk is nearly full", 60.0),
    "bot_dead": About("A bot does not answer", "A bot does not answer", 120.0),
    "report_waiting": About("A report waits for a decision", "A report waits for a decision"),
    "payment_unmatched": About("Money came that nobody was credited for", "A payment is not matched"),
    "certificate_ending": About("The certificate ends soon", "The certificate ends"),
}


def anchor(section: str) -> str:
    """As Markdown makes one of a heading."""
    return re.sub(r"[^a-z0-9 -]", "", section.lower()).replace(" ", "-")

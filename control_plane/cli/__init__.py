"""The command line of the service: `tessera NOUN VERB`.

One file per noun: it declares its words with argparse and does the work in functions that import what they need
when they run, so that `tessera --help` answers at once and `tessera generate` needs neither database nor web
framework. `program` puts the nouns together, `parsing` makes the parsers, `operating` opens the database, `printing`
answers in tables or JSON. `tree`, `child` and `tether` are the processes of `tessera up`.
Every error is a sentence that says what to do; exit codes follow sysexits(3).
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from control_plane.cli import program

    return program.main(argv)

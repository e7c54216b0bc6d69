"""`python -m frontends.bots`: the same as `tessera-bots`."""

from __future__ import annotations

import sys

from frontends.bots.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m control_plane` is `tessera`."""

from __future__ import annotations

import sys

from control_plane.cli import main

sys.exit(main())

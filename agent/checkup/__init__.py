"""What `tessera-agent doctor` looks at beside engine and control plane: one subject per file, each a few checks with
what was found and, where something is to be done, what.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Verdicts = Literal["ok", "note", "bad"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    result: Verdicts
    """`note`: it works, but better is possible. `bad`: the agent cannot work like that."""
    found: str
    cure: str = ""

"""The contract: every message that crosses a process border, as msgspec Structs.

The agent and the frontends import this package and nothing else of the control plane, so it depends on the
standard library and msgspec only. Agents in the field are older than the server, hence the law of the wire:
fields are added last and with a default, and never renamed, retyped or removed. Unknown fields are ignored
in messages between our own programs (`Message`) and refused in what the public sends (`Request`).
"""

from __future__ import annotations

import msgspec

PROTOCOL_VERSION = 1
"""The worker protocol this code speaks. Raised only when an old agent could do harm."""


class Message(msgspec.Struct, frozen=True):
    """Base of what our own programs tell each other, and of what we answer: unknown fields are ignored."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what the public sends us: a misspelt field is an error, not a silent default."""

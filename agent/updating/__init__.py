"""`tessera-agent update`: the agent that the control plane has now, instead of this one. Only when its owner says so.

    fetch   what the control plane hands out, by hash
    build   a new environment beside the one in force
    pulse   the agent that runs: how it stops, starts and proves itself
    steps   all of it in order

The new agent is built while the old one works. Then the old one finishes what it holds, the new one draws its canary
and is put in force; whatever goes wrong before it is heard at the control plane, the old one goes on.
"""

from __future__ import annotations


class UpdateFailed(Exception):
    """It was not updated, and the agent that was there is still in force; the message says why and what to do."""

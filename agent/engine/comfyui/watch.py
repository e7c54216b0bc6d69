"""When a run that says nothing has died, and of what.

Progress is an event that moves a node, or a queue that moves. HTTP proves nothing: with a dead execution thread every
address answers as if all were well. Patience is generous, since a model may load for minutes without a word and a
step of a film on a small card takes long; a wrong verdict costs a whole run.
"""

from __future__ import annotations

import msgspec

from agent import clock
from control_plane.wire.nodes import LOADERS
from control_plane.wire.workflow import Graph


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    step: float = 600.0
    """Without any progress of a run that has begun."""
    load: float = 1_200.0
    """The same while a model loads."""
    blind: float = 3_600.0
    """The same when the websocket was lost, so that no progress can be seen."""
    wait: float = 1_800.0
    """In ComfyUI's queue, behind the same run of somebody else's."""
    frozen: float = 60.0
    """Without any answer over HTTP, although the connection stands."""
    gone: float = 1.0
    """Until a refused connection is believed."""
    start: float = 20.0
    """For a ComfyUI that is just starting to answer; it needed 5 to 18 s."""
    launch: float = 600.0
    """The same for one that we have just started: it imports a great deal, from a slow disk maybe."""
    cancel: float = 1.8
    """For an interrupted run to end; what takes longer is waited for by the next run."""
    leftover: float = 120.0
    """For that wait."""
    inherit: float = 120.0
    """For a run that outlived its agent to be asked for again: a lease that nobody keeps is given anew in a minute."""
    interrupt: float = 30.0
    """For a run that stalled to obey an interruption, before its thread is called dead."""


class Watch:
    """Over one run."""

    def __init__(self, patience: Patience, graph: Graph) -> None:
        self._patience = patience
        self._graph = graph
        self.moved_at = clock.now()
        self.node: str | None = None
        """What runs now, as far as is known."""
        self._ahead: str | None = None

    def moved(self) -> None:
        self.moved_at = clock.now()

    def waits_behind(self, running: str | None) -> None:
        """The run is still in the queue, and this other one is at work."""
        if running != self._ahead:
            self._ahead = running
            self.moved()

    def stalled(self, *, begun: bool, seeing: bool) -> bool:
        return clock.now() - self.moved_at > self._limit(begun, seeing)

    def _limit(self, begun: bool, seeing: bool) -> float:
        if not begun:
            return self._patience.wait
        if not seeing:
            return self._patience.blind
        node = self._graph.get(self.node or "")
        return self._patience.load if node is None or node.class_type in LOADERS else self._patience.step

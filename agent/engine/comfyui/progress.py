"""How far a run is, as one number over all of its nodes.

ComfyUI counts each node for itself and names only nodes that have begun. So the nodes of the graph share the whole by
what they usually cost: samplers nearly all of it, loaders and decoders something, the rest next to nothing. What came
from the cache counts as done, and the number never falls.
"""

from __future__ import annotations

from agent.engine.comfyui.feed import Cached, Executing, Stepped
from control_plane.wire.job import Progress
from control_plane.wire.nodes import LOADERS, SAMPLERS, SAVERS
from control_plane.wire.workflow import Graph

NEARLY = 0.99
"""More is not said before the files are here."""


class Meter:
    """Of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._weights = {name: _weight(node.class_type) for name, node in graph.items()}
        self._savers = {name for name, node in graph.items() if node.class_type in SAVERS}
        self._samplers = {name for name, node in graph.items() if node.class_type in SAMPLERS}
        self._done: dict[str, float] = {}
        self._steps: dict[str, tuple[int, int]] = {}
        self._value = 0.0

    def take(self, event: Stepped | Cached | Executing) -> bool:
        """Whether anything has moved."""
        before = dict(self._done)
        match event:
            case Cached():
                self._done |= dict.fromkeys((name for name in event.nodes if name in self._weights), 1.0)
            case Stepped():
                for name, node in event.nodes.items():
                    if name in self._weights:
                        self._done[name] = 1.0 if node.state == "finished" else _share(node.value, node.max)
                        if name in self._samplers:
                            self._steps[name] = (int(node.value), int(node.max))
            case Executing():
                self._done.setdefault(event.node or "", 0.0)
        return self._done != before

    def only_saving(self) -> bool:
        """Nothing is left but to write files, one of which is begun."""
        left = {name for name in self._weights if self._done.get(name, 0.0) < 1.0}
        return left <= self._savers and any(name in self._done for name in self._savers)

    def progress(self) -> Progress:
        whole = sum(self._weights.values())
        done = sum(self._weights.get(name, 0.0) * share for name, share in self._done.items())
        self._value = max(self._value, min(NEARLY, done / whole))
        step, steps = (sum(column) for column in zip(*self._steps.values(), strict=True)) if self._steps else (0, 0)
        return Progress(value=self._value, step=step, steps=steps)


def _weight(class_type: str) -> float:
    if class_type in SAMPLERS:
        return 100.0
    if class_type in LOADERS:
        return 8.0
    return 6.0 if class_type in SAVERS or "VAE" in class_type or "Upscale" in class_type else 1.0


def _share(value: float, most: float) -> float:
    return min(1.0, max(0.0, value / most)) if most > 0 else 0.0

"""The built-in engine: draws test cards on the CPU, so that everything can be tried without a GPU.

Pictures are drawn by a child process that stays (`painter.py`), films by one that lives for one film, so the agent's
own process imports no picture library and its loop never waits for a drawing. From prompt to picture: `palette.py`
finds the colours, `scenes/` the layers, `picture.py` and `film.py` lay them down, `caption.py` writes the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.engine.testcard.engine import Testcard

__all__ = ["Testcard"]


def __getattr__(name: str) -> type[Testcard]:
    # Loaded on demand: the painter imports this package too, and asyncio would be a quarter of its memory.
    if name != "Testcard":
        raise AttributeError(name)
    from agent.engine.testcard.engine import Testcard

    return Testcard

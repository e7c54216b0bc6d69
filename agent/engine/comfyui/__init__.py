"""Drives a real ComfyUI, whose behaviour was recorded from the genuine server before a line of this was written.

Orders fill the slots of workflows that the operator ships (`workflow.py`, `render.py`, `check.py`). A run posts one
graph under an id of our choice and follows it (`trip.py`): the websocket is a hint (`feed.py`), the history is the
truth (`server.py`). What came out is brought in, judged and cleaned (`outputs.py`, `looks.py`, `metadata.py`), and
nothing of it stays behind (`places.py`). `engine.py` puts it together; `errors.py` says whose fault a failure is.
"""

from __future__ import annotations

from agent.engine.comfyui.engine import ComfyUI

__all__ = ["ComfyUI"]

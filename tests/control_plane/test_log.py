from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from types import ModuleType

import pytest
import structlog

import agent.log
import control_plane.log

KEY = "tsk_0123456789abcdefABCDEF"
programs = pytest.mark.parametrize("log", [control_plane.log, agent.log], ids=["control plane", "agent"])


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@programs
def test_a_line_that_nobody_watches_is_json_with_its_level_and_time(log: ModuleType) -> None:
    out = io.StringIO()
    log.configure(stream=out)
    structlog.get_logger().info("job.submitted", job_id="j1")
    structlog.get_logger().debug("job.unseen")
    line = json.loads(out.getvalue())
    assert (line["event"], line["job_id"], line["level"]) == ("job.submitted", "j1", "info")
    assert line["timestamp"].endswith("Z")


@programs
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_leaves_in_a_line_nor_in_a_traceback(log: ModuleType, form: str) -> None:
    out = io.StringIO()
    log.configure(form=form, stream=out)
    try:
        raise RuntimeError(f"bearer {KEY}")
    except RuntimeError:
        structlog.get_logger().exception("request.failed", headers={"x": KEY}, url="postgresql://me:hunter2@db/t")
    logging.getLogger("third.party").warning("saw %s", KEY)
    text = out.getvalue()
    assert text.count("tsk_…") == 3
    assert KEY[4:] not in text
    assert "hunter2" not in text


@programs
def test_other_libraries_speak_the_same_form_and_only_when_something_is_wrong(log: ModuleType) -> None:
    out = io.StringIO()
    log.configure(stream=out)
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").error("wrong")
    assert json.loads(out.getvalue())["event"] == "wrong"

"""`make demo` tells its story, and leaves pictures and nothing else, however it ends."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.system.processes import answers, left_of, program, wait_until

DEMO = "control_plane.cli.demo"


@pytest.mark.slow
def test_three_customers_get_one_picture_each_although_an_agent_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with program(tmp_path, DEMO, str(folder)) as demo:
        assert demo.end() == 0, demo.said
    said = demo.said
    killed = re.search(r"agent (\w+) \(process \d+\) is killed with SIGKILL when (\w+)'s picture is (\d+) % done", said)
    assert killed is not None, said
    assert 20 <= int(killed[3]) <= 80
    moved = re.search(r"(\w+)'s order has moved to agent (\w+), (\d+\.\d) s after the kill", said)
    assert moved is not None, said
    assert (moved[1], moved[2] != killed[1]) == (killed[2], True)
    assert float(moved[3]) < 10
    assert "checked: 3 orders" in said
    assert "one success each, one picture each, every hash as announced" in said
    assert said.rstrip().endswith("make up")
    assert sorted(path.name for path in folder.rglob("*")) == ["ada.png", "ben.png", "cleo.png", "pictures"]
    for picture in (folder / "pictures").iterdir():
        assert re.search(rf"{picture.name} +“", said)
        with Image.open(picture) as image:
            assert image.size == (768, 512)
    assert left_of(folder) == []


@pytest.mark.slow
def test_neither_a_kill_nor_ctrl_c_leaves_anything_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with program(tmp_path, DEMO, str(folder)) as demo:
        demo.saying("order at once")
        demo.process.kill()
        demo.process.wait()
    wait_until(lambda: not [line for line in left_of(folder) if "postgres" not in line], "its agents end with it")
    with program(tmp_path, DEMO, str(folder)) as demo:
        url = demo.saying(r"answers at (\S+)")[1]
        demo.saying("order at once")
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 130
    assert demo.said.endswith("Stopped; everything has been cleared away.\n")
    assert left_of(folder) == []
    assert not answers(url)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []

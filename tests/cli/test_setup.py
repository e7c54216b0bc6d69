"""`tessera setup`: the operator of a new installation is let in, also where there is none yet."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane import embedded
from control_plane.cli import main


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "data"
    monkeypatch.setenv("TESSERA_DATA_DIR", str(folder))
    server = embedded.start(folder)
    yield folder
    server.stop()


def test_a_link_leads_the_operator_to_the_setup_and_makes_one_where_there_is_none(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup"]) == 0
    told = capsys.readouterr()
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/auth/link/[\w-]{43}\?next=/setup\n", told.out)
    assert "Made the account admin" in told.err
    key = data_dir / "admin_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in told.out + told.err
    assert main(["setup", "--json"]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out)["url"] not in told.out
    assert "Made the account" not in again.err
    assert main(["user", "list", "--json"]) == 0
    assert [user["name"] for user in json.loads(capsys.readouterr().out)] == ["admin"]

"""`tessera user export` and `tessera user delete`, as the operator uses them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from uuid import uuid4

from tests.fixtures.operator import Say, Tell


def somebody(tell: Tell) -> str:
    name = f"ada-{uuid4().hex[:8]}"
    tell("user", "create", name)
    tell("key", "create", name)
    return name


def test_somebodys_data_lies_in_a_file_that_only_the_operator_reads(say: Say, tell: Tell, tmp_path: Path) -> None:
    name, file = somebody(tell), tmp_path / "ada.zip"
    told = tell("user", "export", name, str(file))
    assert (told["bytes"], told["missing"]) == (file.stat().st_size, 0)
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("account.json"))["name"] == name
        assert len(json.loads(archive.read("api_keys.json"))) == 1
    assert "cannot be written: File exists" in say("user", "export", name, str(file), code=64)
    assert "There is no account" in say("user", "export", "nobody-here", str(tmp_path / "b.zip"), code=64)
    assert not (tmp_path / "b.zip").exists()


def test_an_account_is_deleted_when_that_is_said_twice(say: Say, tell: Tell) -> None:
    name = somebody(tell)
    assert "Say --yes" in say("user", "delete", name, code=64), "nobody can be asked"
    told = tell("user", "delete", name, "--yes")
    assert (told["deleted"], told["finished"]) == (True, True)
    assert name not in {user["name"] for user in tell("user", "list")}
    assert "There is no account" in say("user", "delete", name, "--yes", code=64)
    assert any(line["verb"] == "delete" for line in tell("audit", "list"))
    assert tell("ledger", "check") == []

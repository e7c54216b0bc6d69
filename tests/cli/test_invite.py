"""`tessera invite`: both forms of answer, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane import embedded
from control_plane.cli import main
from control_plane.people import codes

Say = Callable[..., str]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    server = embedded.start(folder)
    yield folder
    server.stop()


@pytest.fixture
def say(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command, expect this exit code, and return what it printed (errors when it failed)."""
    monkeypatch.setenv("TESSERA_DATA_DIR", str(data_dir))

    def run(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


def test_an_invite_is_made_listed_and_revoked(say: Say) -> None:
    options = "--plan", "starter", "--tokens", 500, "--uses", 20, "--days", 14
    made = json.loads(say("invite", "create", *options, "--json"))
    assert set(made) == {"id", "code", "url", "expires_at"}
    assert made["url"] == f"http://127.0.0.1:8000/join?code={made['code']}"
    [listed] = json.loads(say("invite", "list", "--json"))
    assert [listed[name] for name in ("plan", "tokens", "uses", "used", "live")] == ["starter", 500, 20, 0, True]
    assert made["code"] not in say("invite", "list")
    assert "0 of 20" in say("invite", "list")
    assert json.loads(say("invite", "revoke", made["id"], "--json")) == {"id": made["id"], "revoked": True}
    assert "revoked" in say("invite", "list")
    assert "no invite" in say("invite", "revoke", made["id"], code=64)


def test_the_code_alone_is_printed_to_be_passed_on(say: Say) -> None:
    code = say("invite", "create").strip()
    assert set(code.replace("-", "")) <= set(codes.ALPHABET)
    assert len(code) == 19


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--plan", "startr"), "Did you mean starter?"),
        (("--uses", "0"), "1 to 1000000 times"),
        (("--tokens", "-5"), "0 to 1000000 tokens"),
        (("--days", "0"), "more than 0"),
    ],
)
def test_what_makes_no_sense_is_told(say: Say, words: tuple[str, ...], told: str) -> None:
    assert told in say("invite", "create", *words, code=64)

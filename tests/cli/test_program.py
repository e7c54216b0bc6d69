"""What `tessera` says before it does anything: help, and what it makes of words that it does not know."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.cli import main, program

ROOT = Path(__file__).parents[2]
WITHOUT_JSON = {"tessera up", "tessera backup stream", "tessera serve", "tessera mcp"}
"""They stay in the foreground."""
HEAVY = ("asyncio", "aiohttp", "litestar", "psycopg", "msgspec", "structlog", "uvicorn")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """This one and every one below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


ALL = list(parsers(program.parser()))
COMMANDS = [parser for parser in ALL if parser.get_default("run") is not None]


def test_the_command_line_has_every_word_that_others_rely_on() -> None:
    words = {parser.prog.removeprefix("tessera ") for parser in COMMANDS}
    assert words == {
        *("up", "setup", "serve", "migrate", "check", "openapi", "status", "generate", "upscale", "mcp"),
        *("user create", "user list", "user suspend", "user restore", "user plan", "user grant", "user adjust"),
        *("user export", "user delete"),
        "user login-link",
        *("plan list", "plan set", "pack list", "pack set", "ledger show", "ledger check"),
        *("key create", "key list", "key rotate", "key revoke"),
        *("invite create", "invite list", "invite revoke"),
        *("webhook list", "webhook deliveries", "webhook redeliver"),
        *("artifact quarantine", "artifact restore", "report list", "report uphold", "report dismiss", "audit list"),
        *("worker enroll-token", "worker list", "worker drain", "worker resume", "worker revoke"),
        *("workflow check", "workflow list"),
        *("job list", "job show", "job cancel", "job why"),
        *("backup", "backup key", "backup list", "backup stream", "restore", "db move", "db upgrade", "upgrade"),
        *("gallery list", "gallery approve", "gallery refuse"),
        *("doctor", "incident list", "incident ack", "incident test"),
        *("pause submits", "pause model", "pause lane", "resume submits", "resume model", "resume lane"),
    }


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_every_command_explains_itself(parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*parser.prog.split()[1:], "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert said.startswith(f"usage: {parser.prog}")
    assert parser.description
    assert max(map(len, said.splitlines())) <= 120


@pytest.mark.parametrize("parser", COMMANDS, ids=lambda parser: parser.prog)
def test_every_answer_can_be_had_as_json(parser: argparse.ArgumentParser) -> None:
    offered = any("--json" in action.option_strings for action in parser._actions)
    assert offered == (parser.prog not in WITHOUT_JSON)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["usr"], "Did you mean user?"),
        (["user", "lsit"], "Did you mean list?"),
        (["user", "list", "--jsn"], "Did you mean --json?"),
        (["generate", "x", "--siez", "64x64"], "Did you mean --size?"),
        (["job", "why", "5"], "'5' is not a job id"),
        (["job", "list", "--limit", "0"], "from 1 to 1000"),
        (["job", "list", "--state", "queud"], "Did you mean queued?"),
        (["generate", "x", "--size", "big"], "write it like 768x512"),
        (["key", "create", "ada", "--days", "-3"], "days above 0"),
        ([], "required"),
        (["user", "create"], "required"),
    ],
)
def test_what_is_misspelt_is_a_sentence_and_exit_code_64(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 64
    assert hint in said
    assert "Try: tessera" in said
    assert "Traceback" not in said


def test_help_comes_at_once_because_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from control_plane.cli import program; program.parser();"
        f" print([name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_ordering_needs_neither_database_nor_web_framework() -> None:
    """As where only the customer's part is installed; nobody listens on port 9 (discard)."""
    script = (
        "import sys\n"
        "for name in ('psycopg', 'psycopg_pool', 'litestar', 'uvicorn'): sys.modules[name] = None\n"
        "from control_plane.cli import main\n"
        "sys.exit(main(['generate', 'x', '--url', 'http://127.0.0.1:9', '--key', 'tsk_x']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 69
    assert ran.stderr.startswith("tessera: http://127.0.0.1:9 does not answer (connect")


@pytest.mark.parametrize(
    ("words", "environ", "code", "sentence"),
    [
        (["--size", "63x64"], {}, 64, "--size: the width must be at least 64."),
        (["--count", "9"], {}, 64, "--count may be at most 4."),
        (["--negative", "\udcff"], {}, 64, "--negative must be text in UTF-8."),
        (["--max-wait", "0"], {}, 64, "--max-wait must be at least 1."),
        (["-o", "nowhere/out.png"], {}, 73, "There is no folder nowhere."),
        ([], {"TESSERA_API_KEY": ""}, 64, "An API key is needed"),
        ([], {"TESSERA_API_KEY": "", "TESSERA_URL": ""}, 64, "No service is known"),
    ],
)
def test_an_order_that_cannot_work_is_a_sentence_before_anybody_is_called(
    words: list[str],
    environ: dict[str, str],
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {"TESSERA_URL": "http://127.0.0.1:9", "TESSERA_API_KEY": "tsk_x", "TESSERA_DATA_DIR": str(tmp_path)}
    for name, value in {**told, **environ}.items():
        monkeypatch.setenv(name, value)
    assert main(["generate", "x", *words]) == code
    assert sentence in capsys.readouterr().err


def test_a_wrong_setting_is_named_with_exit_code_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TESSERA_LEASE_SECONDS", "soon")
    assert main(["status"]) == 78
    assert capsys.readouterr().err.startswith("tessera: TESSERA_LEASE_SECONDS is 'soon', but must be a number")


def test_a_database_that_is_not_there_is_exit_code_69(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TESSERA_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/nothing")
    assert main(["user", "list"]) == 69
    said = capsys.readouterr().err
    assert said.startswith("tessera: The database does not answer")
    assert "secret" not in said

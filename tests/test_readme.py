"""Every command in README.md is checked: make targets by a dry run, ours by their own parsers, HTTP by the routes.

A block in a language, or a command, that nothing here knows how to check is a failure, not an exception.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest

import agent.cli
import frontends.bots.cli
from control_plane import api
from control_plane.cli import program
from control_plane.wire.job import SubmitRequest
from control_plane.wire.webhook import WebhookRequest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:make|tessera|tessera-agent|tessera-bots) [^`]+)`")
PLACEHOLDERS = {"JOB", "WORKER", "USER", "WEBHOOK"}
VARIABLE = re.compile(r"\$[A-Z]+")
BODIES = {"/api/v1/jobs": SubmitRequest, "/api/v1/webhooks": WebhookRequest}
PARAMETER = re.compile(r"\{[^}]+\}")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def commands() -> list[str]:
    """Each command of each shell block, with its continued lines joined."""
    found = []
    for language, body in BLOCK.findall(README):
        assert language in {"sh", "text", "python"}, f"a block in {language or 'no language'} cannot be checked"
        if language == "sh":
            lines = re.sub(r"\\\n\s*", " ", body).splitlines()
            found += [line for line in lines if line.strip() and not line.startswith("#")]
    return found


def checked(words: list[str]) -> None:
    """Fails unless the command is one that works."""
    name = words[0].removeprefix(".venv/bin/")
    match name:
        case "make":
            ran = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
        case "tessera":
            program.parser().parse_args(words[1:])
        case "tessera-agent":
            agent.cli._parser().parse_args(words[1:])
        case "tessera-bots":
            frontends.bots.cli._parser().parse_args(words[1:])
        case "export":
            for assignment in words[1:]:
                assert re.fullmatch(r"TESSERA_[A-Z_]+=\S+", assignment)
        case "curl":
            call(words[1:])
        case name if re.match(r"[A-Z]+=\$\(", name):
            assert " ".join(words).endswith(")")
        case name if re.match(r"[A-Z]+=", name):
            assert all(re.match(r"[A-Z]+=\S", word) for word in words)
        case "git" | "cd":
            assert len(words) > 1
        case _:
            pytest.fail(f"nothing here knows how to check `{name}`")


def call(words: list[str]) -> None:
    """A request with curl: the route exists, and the body is one that it takes."""
    address = next(word for word in words if "://" in word or word.startswith("$TESSERA_URL"))
    path = urlsplit(address.replace("$TESSERA_URL", "http://host")).path
    body = words[words.index("-d") + 1] if "-d" in words else None
    sends = body is not None or "-F" in words
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if sends else "GET"
    routes = {
        (str(verb), route) for handler in api.handlers() for verb in handler.http_methods for route in handler.paths
    }
    taken = [route for verb, route in routes if verb == method and re.fullmatch(PARAMETER.sub("[^/]+", route), path)]
    assert taken, f"{method} {path} leads nowhere"
    if body is not None:
        msgspec.convert(json.loads(VARIABLE.sub(str(UUID(int=0)), body)), BODIES[path])


def without_comment(command: str) -> list[str]:
    """The words of a command; a placeholder in capitals stands for an id."""
    return [str(UUID(int=0)) if word in PLACEHOLDERS else word for word in shlex.split(command, comments=True)]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_works(command: str) -> None:
    checked(without_comment(command))


@pytest.mark.parametrize("command", [text for text in INLINE.findall(README) if "|" not in text])
def test_a_command_in_a_sentence_of_the_readme_works(command: str) -> None:
    checked(without_comment(command))


@pytest.mark.parametrize("target", sorted(set(LINK.findall(README))))
def test_a_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_readme_has_commands_to_check() -> None:
    assert len(commands()) >= 8
    assert {"make demo", "make up", "make test"} <= {" ".join(without_comment(line)) for line in commands()}


def test_every_target_of_make_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony: Any = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = set(re.findall(r"^([a-z-]+):.*## \w", makefile, re.MULTILINE))
    assert set(phony[1].split()) - explained == {"runtime", "dev"}

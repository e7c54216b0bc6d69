"""`tessera-agent`: what the owner of a GPU machine types.

Each command is one function that returns an exit code; what goes wrong is one sentence on stderr with its own code:
0 clean · 1 fatal · 2 try again · 5 another agent has this state folder · 7 too old · 78 configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec
import structlog

from agent import log
from agent.agent import AlreadyRunning, VersionTooOld
from agent.agent import run as run_agent
from agent.authority import ForeignAuthority
from agent.checkup import Check
from agent.claiming import Revoked
from agent.cli_install import add_parser as add_install_parser
from agent.cli_install import install_service
from agent.cli_update import add_parser as add_update_parser
from agent.cli_update import update
from agent.client import NoAnswer, Problem, agent_version
from agent.console import NotRunning, NotUnderstood, Verb, ask
from agent.credential import CredentialError, load, save
from agent.doctor import canaries, examine
from agent.engine import EngineError
from agent.engine.choice import EngineMissing, choose
from agent.engine.repertory import known
from agent.enrolment import enroll, is_plain
from agent.gpu import in_words
from agent.local import PortTaken, Status
from agent.models.cli import add_parser as add_models_parser
from agent.models.cli import models
from agent.models.receive import PullFailed
from agent.retry import Verdict, verdict
from agent.settings import ConfigurationError, Settings
from agent.settings import load as load_settings
from agent.updating import UpdateFailed
from control_plane.wire import systemd

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["_Parser"]

EX_USAGE = 64
"""sysexits(3). Python's own would be 2, which here means that another try may help."""
TOKEN_BYTES_MAX = 500
NAME_LENGTH_MAX = 64

logger = structlog.get_logger()


class Exit(IntEnum):
    CLEAN = 0
    FATAL = 1
    RETRY = 2
    SESSION_CONFLICT = 5
    VERSION_TOO_OLD = 7
    CONFIGURATION = 78


EPILOG = """examples:
  tessera-agent enroll https://tessera.example tse_…   the operator gives address and token
  tessera-agent doctor                                 is everything as it must be?
  tessera-agent models plan                            which files are missing for what
  tessera-agent run                                    work until Ctrl-C
  tessera-agent pause --until 23:00                    in another terminal: the GPU is mine for now
  tessera-agent install-service                        start by itself from now on
  tessera-agent update                                 take the agent that the control plane has now

exit codes: 0 clean, 1 fatal, 2 try again later, 5 another agent runs with this state folder,
7 the agent is too old for the control plane, 64 not understood, 78 something in the configuration is wrong.
Every setting also has a variable TESSERA_AGENT_… and a key in the TOML file that TESSERA_AGENT_CONFIG names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole program; never raises what a person could be told in a sentence."""
    options = _parser().parse_args(arguments)
    try:
        return int(asyncio.run(_command(options)))
    except KeyboardInterrupt:
        return Exit.RETRY if options.command == "models" else Exit.CLEAN  # half a file is not a file
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.CLEAN
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"tessera-agent: {_sentence(error)}", file=sys.stderr)
        return code


async def _command(options: argparse.Namespace) -> Exit:
    fields = {name: value for name, value in vars(options).items() if name in Settings.__struct_fields__}
    settings = load_settings(os.environ, fields)
    log.configure(settings.log_level, settings.log_format)
    match options.command:
        case "enroll":
            return await _enroll(settings, options)
        case "run":
            return await _run(settings)
        case "doctor":
            return await _told(examine(settings, os.environ.get("WSL_DISTRO_NAME")), options.json)
        case "install-service":
            return Exit(await install_service(settings, options, os.environ))
        case "canary":
            return await _told(canaries(settings), options.json)
        case "update":
            return Exit(await update(settings, options, os.environ))
        case "workflows":
            return await _workflows(settings, options.json)
        case "models":
            return Exit(await models(settings, options))
        case verb:
            return await _ask(settings, verb, options)


async def _enroll(settings: Settings, options: argparse.Namespace) -> Exit:
    if settings.credential_file.exists() and not options.replace:
        old = load(settings.credential_file)
        raise ConfigurationError(f"This machine is enrolled at {old.url} as {old.name}. To enrol anew, add --replace.")
    token = options.token or settings.token
    if token == "-":
        token = sys.stdin.readline(TOKEN_BYTES_MAX).strip()
    if not token:
        raise ConfigurationError("A token is needed: tessera-agent enroll URL TOKEN (or TESSERA_AGENT_TOKEN).")
    if not options.url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{options.url} is no address. It must begin with https:// (or http://).")
    if is_plain(options.url) and not options.plain_http:
        raise ConfigurationError(
            f"Over http everybody on the way to {options.url} could take this worker's secret and see every picture."
            " Ask the operator for an https:// address (`tessera up --lan` gives one), or add --plain-http."
        )
    name = options.name or socket.gethostname()[:NAME_LENGTH_MAX] or "agent"
    credential = await enroll(options.url, token, name)
    save(credential, settings.credential_file)
    facts = {"worker_id": str(credential.worker_id), "name": credential.name, "url": credential.url}
    _tell(facts, f"Enrolled at {credential.url} as {credential.name}. Next: tessera-agent run", options.json)
    return Exit.CLEAN


async def _run(settings: Settings) -> Exit:
    credential = load(settings.credential_file)
    engines = []
    for slot in range(len(settings.cards)):
        choice = await choose(settings, slot)
        logger.info("engine.chosen", slot=slot, engine=choice.name, why=choice.why)
        engines.append(choice.make())
    await run_agent(settings, credential, engines, systemd.from_environment(os.environ))
    return Exit.CLEAN


async def _told(examined: AsyncGenerator[Check, None], as_json: bool) -> Exit:
    """Every check as it is made; whether all went well."""
    signs = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    checks = []
    async with aclosing(examined) as examination:
        async for check in examination:
            checks.append(check)
            if not as_json:
                cure = f"\n{'':22}→ {check.cure}" if check.cure else ""
                print(f"{signs[check.result]}  {check.name:<14} {check.found}{cure}")
    if as_json:
        print(msgspec.json.encode(checks).decode())
    return Exit.FATAL if any(check.result == "bad" for check in checks) else Exit.CLEAN


async def _workflows(settings: Settings, as_json: bool) -> Exit:
    from agent.engine.comfyui.survey import survey  # nobody else here needs what it brings along
    from control_plane.wire.workflow import WorkflowError

    try:
        rows = await survey(settings.comfyui_url, known(settings.workflows_file, settings.workflows))
    except WorkflowError as error:
        raise ConfigurationError(str(error)) from error
    silent = f"No ComfyUI answers at {settings.comfyui_url}, so only the files of the workflows are looked at."
    lines = [] if rows[0].missing is not None else [silent]
    for row in rows:
        state = "WRONG" if row.wrong else "lacks" if row.missing else "ready" if row.missing is not None else "sound"
        lines.append(f"{state}  {row.name:<16} {row.kind} {row.model}: {row.title}, {row.vram_gib} GiB ({row.proven})")
        lines += [f"       {reason}" for reason in (*row.wrong, *(row.missing or ()))]
    _tell(rows, "\n".join(lines), as_json)
    return Exit.FATAL if any(row.wrong for row in rows) else Exit.CLEAN


async def _ask(settings: Settings, verb: Verb, options: argparse.Namespace) -> Exit:
    status = await ask(settings, verb, getattr(options, "until", None))
    _tell(status, _describe(status, settings), options.json)
    return Exit.CLEAN


def _describe(status: Status, settings: Settings) -> str:
    lines = [f"{status.name} at {status.url}: {status.state}{_pause(status, settings)}"]
    if status.silent_seconds is None:
        lines.append("The control plane has not answered yet.")
    else:
        lines.append(f"The control plane answered {status.silent_seconds:.0f} s ago.")
    for slot in status.slots:
        lines.append(f"slot {slot.slot}: {slot.engine} on {slot.device}{'' if slot.ready else ' (not ready)'}")
        lines += [f"  {slot.trouble}"] if slot.trouble else []
        if slot.gpu or slot.paused:
            lines.append("  " + ", ".join([*in_words(slot.gpu), *([slot.paused] if slot.paused else [])]))
        lines += [f"  {held.stage} {held.kind} {held.job_id} {held.progress:.0%}" for held in slot.leases]
    done = ", ".join(f"{number} {outcome}" for outcome, number in sorted(status.jobs.items()))
    lines.append(f"jobs since the start: {done or 'none'}")
    if status.idle_gap_p50_seconds is not None and status.idle_gap_p95_seconds is not None:
        p50, p95 = status.idle_gap_p50_seconds * 1_000, status.idle_gap_p95_seconds * 1_000
        lines.append(f"idle gap between runs: p50 {p50:.2f} ms, p95 {p95:.2f} ms (of {status.idle_gap_count})")
    lines.append(f"memory: {status.resident_mib:.0f} MiB")
    return "\n".join([*lines, *(f"the operator says: {message}" for message in status.messages)])


def _pause(status: Status, settings: Settings) -> str:
    """Why it is paused and until when, on the owner's clock."""
    if status.paused_why is None:
        return ""
    ends = status.paused_until
    until = f", until {ends.astimezone(settings.time_zone):%a %d %b %H:%M}" if ends else ""
    again = ", until: tessera-agent resume" if status.paused_why == "owner" and not ends else ""
    return f" ({status.paused_why}{until or again})"


def _tell(facts: object, sentence: str, as_json: bool) -> None:
    print(msgspec.json.encode(facts).decode() if as_json else sentence)


def _exit_code(error: Exception) -> Exit | None:
    match error:
        case ConfigurationError() | CredentialError() | EngineMissing() | PortTaken() | PermissionError():
            return Exit.CONFIGURATION
        case AlreadyRunning():
            return Exit.SESSION_CONFLICT
        case VersionTooOld() | Problem(code="version-too-old"):
            return Exit.VERSION_TOO_OLD
        case NoAnswer() | PullFailed(again=True):
            return Exit.RETRY
        case Problem():
            return Exit.RETRY if verdict(error) is Verdict.AGAIN else Exit.FATAL
        case NotUnderstood():
            return Exit.CONFIGURATION
        case ForeignAuthority() | UpdateFailed():
            return Exit.FATAL
        case Revoked() | EngineError() | NotRunning() | PullFailed():
            return Exit.FATAL
        case _:
            return None


def _sentence(error: Exception) -> str:
    match error:
        case NoAnswer():
            return f"The control plane could not be reached ({error}). Is the address right and the network up?"
        case Problem(status=401 | 403):
            return "This worker or token is not accepted. Ask the operator for a token (`tessera worker enroll-token`)."
        case Problem(code="invalid", detail=detail) if detail.startswith("/token"):
            return "This is no token: copy the whole of it, from tse_ to its end."
        case VersionTooOld() | Problem(code="version-too-old"):
            return f"This agent is too old: {error} Run: tessera-agent update"
        case Revoked():
            return "The operator has revoked this worker. To join again, enrol with a new token and --replace."
        case EngineError():
            return f"The engine did not start ({error.cause}): {error.message}"
        case _:
            return str(error)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"tessera-agent: {message[:1].upper()}{message[1:]}.\nTry: {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tessera-agent",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Lets this machine work for a Tessera control plane. It only calls out; nothing connects to it.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"tessera-agent {agent_version()}")
    everywhere = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("--dir", type=Path, help="state folder (default ~/.local/share/tessera-agent)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _enroll_parser(commands, everywhere)
    _run_parser(commands, everywhere)
    _workflows_parser(commands, everywhere)
    add_models_parser(commands, _Parser, everywhere)
    add_install_parser(commands, everywhere)
    add_update_parser(commands, everywhere)
    for name, text in (
        ("canary", "Draw one small picture per engine and ask the control plane whether this agent fits."),
        ("doctor", "Check everything from the network to a canary picture, with cures."),
        ("status", "What the running agent is doing."),
        ("drain", "Finish what runs, take nothing new, then end."),
        ("pause", "Finish what runs and take nothing new until resumed, to play a game for example."),
        ("resume", "Take work again after a pause."),
    ):
        command = commands.add_parser(name, help=text, description=text, parents=[everywhere])
        command.add_argument("--json", action="store_true", help="print the facts as JSON")
        if name == "pause":
            command.add_argument("--until", metavar="WHEN", help="18:00, 2h, 1h30m or 2026-12-24T18:00; else for good")
    return parser


def _enroll_parser(commands: Commands, everywhere: _Parser) -> None:
    text = "Make this machine a worker of a control plane, once."
    command = commands.add_parser("enroll", help=text, description=text, parents=[everywhere])
    command.add_argument("url", metavar="URL", help="of the control plane, e.g. https://tessera.example")
    command.add_argument(
        "token", metavar="TOKEN", nargs="?", help="from the operator, works once; - reads it from stdin"
    )
    command.add_argument("--name", help="how the operator sees this machine (default: its host name)")
    command.add_argument("--replace", action="store_true", help="forget an earlier enrolment")
    command.add_argument("--plain-http", action="store_true", help="also over http to another machine, unprotected")
    command.add_argument("--json", action="store_true", help="print the facts as JSON")


def _workflows_parser(commands: Commands, everywhere: _Parser) -> None:
    text = "List the workflows for ComfyUI, and what keeps each from running here."
    command = commands.add_parser("workflows", help=text, description=text, parents=[everywhere])
    command.add_argument("verb", choices=("check", "list"), nargs="?", help="one does what the other does")
    command.add_argument("--comfyui-url", help="the ComfyUI to ask (default http://127.0.0.1:8188)")
    command.add_argument("--workflows", type=Path, help="a folder of workflows besides those that are shipped")
    command.add_argument("--json", action="store_true", help="print the facts as JSON")


def _run_parser(commands: Commands, everywhere: _Parser) -> None:
    text = "Ask for work and do it. SIGTERM or Ctrl-C once drains, twice gives the leases back and goes."
    command = commands.add_parser("run", help=text, description=text, parents=[everywhere])
    command.add_argument("--engine", choices=("testcard", "comfyui", "auto"), help="default auto")
    command.add_argument("--comfyui-url", help="where auto looks for a ComfyUI (default http://127.0.0.1:8188)")
    command.add_argument("--comfyui-dir", type=Path, help="a ComfyUI that the agent starts, watches and ends itself")
    command.add_argument("--comfyui-image", help="the same from a container image, by Podman")
    command.add_argument("--device", help="the GPU for it, as nvidia-smi -L names it; several: [[engine]] tables")
    command.add_argument("--workflows", type=Path, help="a folder of workflows besides those that are shipped")
    command.add_argument("--slots", type=int, help="engines at work side by side, one per GPU (default 1)")
    command.add_argument("--testcard-seconds", type=float, help="how long the built-in engine takes for a picture")
    command.add_argument("--local-port", type=int, help="serve /health, /metrics, /run_job on 127.0.0.1 (default off)")

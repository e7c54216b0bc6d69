"""`tessera-agent models …`: the owner of a GPU looks after the files that its workflows need.

`list` and `plan` only look; `pull` loads, `pin` trusts a file whose hash nobody has published, `verify` reads what is
here, `remove` deletes. Exit codes as everywhere in the agent: 0 done, 1 it cannot be done so, 2 later it may, 78
something must be decided or set first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.models.cli.keeping import remove, verify
from agent.models.cli.looking import show, tell_plan
from agent.models.cli.pulling import pin_files, pull_files
from agent.models.depot import depot
from agent.settings import Settings

DONE, IMPOSSIBLE = 0, 1
"""As `agent.cli.Exit`."""
ABOUT = "Model files: what is missing for which workflow, load it, check it, remove it."
NAMES = "workflows, models or files, as `plan` shows them"
EPILOG = """examples:
  tessera-agent models plan                      what is missing for which workflow, and does it fit?
  tessera-agent models pull sdxl                 load all that sdxl needs; Ctrl-C and again goes on from there
  tessera-agent models verify                    is every file what it should be?
  tessera-agent models remove                    delete what nothing needs

A gated source wants a token: a line "huggingface.co" = "hf_…" in tokens.toml of the state folder (chmod 600), or
TESSERA_AGENT_MODELS_TOKEN=huggingface.co=hf_…"""


async def models(settings: Settings, options: argparse.Namespace) -> int:
    """Raises `ConfigurationError` and `PullFailed`."""
    place = await depot(settings)
    match options.verb:
        case "list":
            well = show(place, as_json=options.json)
        case "plan":
            well = tell_plan(place, options.names, as_json=options.json)
        case "pull":
            well = await pull_files(place, options)
        case "pin":
            well = await pin_files(place, options.names, as_json=options.json)
        case "verify":
            well = await verify(place, options.names, again=options.again, as_json=options.json)
        case _:
            well = remove(place, options.names, yes=options.yes, as_json=options.json)
    return DONE if well else IMPOSSIBLE


def add_parser(
    commands: Any, make: Callable[..., argparse.ArgumentParser], everywhere: argparse.ArgumentParser
) -> None:
    """`commands`: of the program's parser; `make`: of parsers that complain as the program does."""
    form = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser("models", help=ABOUT, description=ABOUT, epilog=EPILOG, formatter_class=form)
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    common = make(add_help=False, parents=[everywhere], argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--models", dest="comfyui_models", type=Path, metavar="FOLDER", help="ComfyUI's own, ComfyUI/models"
    )
    common.add_argument("--comfyui-url", help="the ComfyUI that is asked for it (default http://127.0.0.1:8188)")
    common.add_argument("--workflows", type=Path, help="a folder of workflows besides those that are shipped")
    add = _Adding(verbs, common)
    add("list", "Every file: is it here, how large is it, under what licence.")
    add("plan", "What is missing for which workflow, how large it is, and whether it fits on the disk.", names="*")
    _add_pull(add("pull", "Load what is missing. What came before a Ctrl-C or a cut is kept.", names="*"))
    add("pin", "Trust a file that is here and whose hash nobody has published.", names="+")
    again = add("verify", "Read files and compare them with their hashes.", names="*")
    again.add_argument("--again", action="store_true", help="read also those that were not changed since the last time")
    yes = add("remove", "Delete what no complete workflow needs, or what only these need.", names="*")
    yes.add_argument("--yes", action="store_true", help="without asking")


class _Adding:
    def __init__(self, verbs: Any, common: argparse.ArgumentParser) -> None:
        self._verbs = verbs
        self._common = common

    def __call__(self, verb: str, text: str, names: str | None = None) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = self._verbs.add_parser(
            verb, help=text, description=text, parents=[self._common]
        )
        if names is not None:
            command.add_argument("names", metavar="NAME", nargs=names, help=NAMES)
        command.add_argument("--json", action="store_true", help="print the facts as JSON")
        return command


def _add_pull(command: argparse.ArgumentParser) -> None:
    command.add_argument("--all", action="store_true", help="everything that any workflow needs")
    command.add_argument(
        "--accept", metavar="LICENCE", action="append", default=[], help="accept this licence, as `plan` names it"
    )
    command.add_argument("--pin", action="store_true", help="load also what has no known hash, and trust what came")
    command.add_argument("--replace", action="store_true", help="load anew over another file of the same name")
    command.add_argument("--plain-http", action="store_true", help="ask sources over http too")

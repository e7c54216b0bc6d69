"""A request to each operation as one can try it: a line for a terminal, and a few for a Python program."""

from __future__ import annotations

import json
import pprint
import re
from typing import Any

Json = dict[str, Any]

JSON = "application/json"
FORM = "multipart/form-data"
FILE = "@picture.png"
"""What stands for a file in the example of a form, as curl writes it."""
_VERBS = {"get": "curl", "head": "curl -I"}


def curl(method: str, path: str, op: Json, base_url: str) -> str:
    """Addresses, keys and ids are variables of the shell, as in README."""
    filled = re.sub(r"\{(\w+)\}", lambda found: "$" + found[1].upper(), path)
    words = [f'{_VERBS.get(method, f"curl -X {method.upper()}")} "{base_url}{filled}"']
    if variable := _credential(op):
        words.append(f'-H "Authorization: Bearer ${variable}"')
    body = op.get("requestBody", {}).get("content", {})
    if JSON in body:
        shown = json.dumps(body[JSON]["example"], ensure_ascii=False).replace("'", "'\\''")
        words += [f"-H 'Content-Type: {JSON}'", f"-d '{shown}'"]
    elif FORM in body:
        words += [f"-F '{name}={value}'" for name, value in body[FORM]["example"].items()]
    elif body:
        words += [f"-H 'Content-Type: {next(iter(body))}'", "--data-binary @picture.png"]
    if method == "get" and "text/event-stream" in op["responses"].get("200", {}).get("content", {}):
        words.insert(1, "-N")
    return " \\\n  ".join(words)


def python(method: str, path: str, op: Json, base_url: str) -> str:
    """With `requests`, which most programs have already."""
    quote = "f" if "{" in path else ""
    arguments = [f'{quote}"{base_url}{path}"']
    if variable := _credential(op):
        arguments.append(f'headers={{"Authorization": f"Bearer {{os.environ[\'{variable}\']}}"}}')
    body = op.get("requestBody", {}).get("content", {})
    if JSON in body:
        arguments.append(f"json={_literal(body[JSON]['example'])}")
    elif FORM in body:
        parts = body[FORM]["example"]
        file = next(name for name, value in parts.items() if value == FILE)
        arguments.append(f'files={{"{file}": open("picture.png", "rb")}}')
        if text := {name: value for name, value in parts.items() if name != file}:
            arguments.append(f"data={_literal(text)}")
    elif body:
        arguments.append('data=open("picture.png", "rb")')
    imports = (
        "import os\nimport requests\n\n"
        if len(arguments) > 1 and "os.environ" in arguments[1]
        else "import requests\n\n"
    )
    called = ",\n    ".join(arguments)
    return f"{imports}answer = requests.{method}(\n    {called},\n    timeout=60,\n)\nanswer.raise_for_status()"


def _credential(op: Json) -> str | None:
    """The variable that holds it."""
    if "security" not in op:
        return None
    return "TESSERA_API_KEY" if "bearer" in op["security"][0] else "WORKER_CREDENTIAL"


def _literal(value: Json) -> str:
    return pprint.pformat(value, sort_dicts=False, width=80).replace("\n", "\n    ")

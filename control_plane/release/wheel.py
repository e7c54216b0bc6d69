"""The agent as a wheel (PyPA's binary distribution format 1.0), packed from the code that runs here.

No build tool is needed: a wheel is a zip of the files as they will lie, with a record of their hashes. The same files
give the same bytes, and other files another version, so that an agent that is installed already is known by its name.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
NAME = "tessera"
PARTS = ("agent", "control_plane/__init__.py", "control_plane/wire")
CARGO = {
    "ops/containers/Containerfile": "agent/containers/ops/containers/Containerfile",
    "ops/containers/requirements.lock": "agent/containers/ops/containers/requirements.lock",
    "ops/systemd/tessera-agent.service": "agent/installing/tessera-agent.service",
}
"""What a machine builds its ComfyUI from, if it wants one in a container, and a unit; where it lies → where it goes."""
EXTRAS = frozenset({"agent", "gpu"})
PYTHON = ">=3.11"
DIGITS = 10
"""Of the hash of all files, in the version."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip knows; the real times would make every wheel another one."""


class Unpackable(Exception):
    """Something that belongs into the wheel is not there; the message says what to do."""


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def pack(root: Path = ROOT) -> Wheel:
    """The wheel of the code below `root`. Raises `Unpackable`."""
    files = dict(sorted(_files(root)))
    for expected in ("agent/cli.py", "control_plane/wire/__init__.py"):
        if expected not in files:
            raise Unpackable(f"{root / expected} is missing, so no agent can be handed out. Install Tessera anew.")
    full = f"{_project_version()}+h{_digest(files)[:DIGITS]}"
    about = f"{NAME}-{full}.dist-info"
    files[f"{about}/METADATA"] = _metadata(full)
    files[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tessera\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{about}/entry_points.txt"] = b"[console_scripts]\ntessera-agent = agent.cli:main\n"
    files[f"{about}/RECORD"] = _record(files, f"{about}/RECORD")
    return Wheel(version=full, name=f"{NAME}-{full}-py3-none-any.whl", content=_zipped(files))


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for part in PARTS:
        top = root / part
        for path in [top] if top.is_file() else top.rglob("*"):
            relative = path.relative_to(root)
            if path.is_file() and path.suffix != ".pyc" and not any(name.startswith(".") for name in relative.parts):
                yield relative.as_posix(), path.read_bytes()
    for source, place in CARGO.items():
        if (root / source).is_file():
            yield place, (root / source).read_bytes()


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _project_version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:  # run from a folder that nobody has installed
        return "0"


def _metadata(full: str) -> bytes:
    try:
        known = requires(NAME) or []
    except PackageNotFoundError:
        known = []
    wanted = sorted({requirement.partition(";")[0].strip() for requirement in known if _of_agent(requirement)})
    lines = [f"Requires-Dist: {requirement}" for requirement in wanted]
    head = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {full}", "Summary: The agent of Tessera"]
    return "\n".join([*head, f"Requires-Python: {PYTHON}", *lines, ""]).encode()


def _of_agent(requirement: str) -> bool:
    marker = requirement.partition(";")[2].replace("'", '"')
    return any(f'extra == "{extra}"' in marker for extra in EXTRAS)


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in files.items()
    ]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return whole.getvalue()

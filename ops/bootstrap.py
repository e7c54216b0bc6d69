"""Makes `.venv` from the lock: python3 ops/bootstrap.py runtime|dev

Standard library only, and old syntax only, because it must live long enough on an old Python to say what is missing.
What it cannot cure itself it says in one line before it installs anything. When `.venv` already is what the lock
says, it does nothing: a stamp remembers lock, project, Python and place.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "tessera-stamp"
PYTHON = VENV / "bin" / "python"
LOCKS = {"runtime": ROOT / "ops" / "requirements.lock", "dev": ROOT / "ops" / "requirements-dev.lock"}
PYTHON_MIN = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
GLIBC_MIN = (2, 28)
MACHINES = ("x86_64", "aarch64", "arm64")


def main(arguments: "list[str]") -> "str | None":
    kind = arguments[0] if arguments else "runtime"
    if kind not in LOCKS:
        return "usage: python3 ops/bootstrap.py runtime|dev"
    if sys.version_info < PYTHON_MIN:
        newer = newer_python()
        if newer:
            os.execv(newer, [newer, __file__, kind])
    if up_to_date(kind):
        return None
    sentence = trouble(sys.version_info[:3], has_venv(), platform.system(), platform.machine(), platform.libc_ver())
    try:
        return sentence or install(kind)
    except KeyboardInterrupt:
        return "Interrupted; make starts it again."


def trouble(version: "tuple[int, ...]", venv: bool, system: str, machine: str, libc: "tuple[str, str]") -> "str | None":
    """The one line that cures what is missing, or None."""
    short = "{}.{}".format(*version)
    if tuple(version[:2]) < PYTHON_MIN:
        return (
            "Tessera needs Python 3.11 or newer, this is {}. Install one (Debian, Ubuntu: sudo apt install python3.11"
            " python3.11-venv; Fedora: sudo dnf install python3.12; macOS: brew install python@3.13)"
            " and run make again.".format(short)
        )
    glibc = libc[0] == "glibc" and tuple(int(part) for part in libc[1].split(".")[:2]) >= GLIBC_MIN
    if machine not in MACHINES or not (system == "Darwin" or (system == "Linux" and glibc)):
        return (
            "There is no embedded PostgreSQL for this system ({} {} {}). Use Linux with glibc 2.28 or newer (Debian 10,"
            " Ubuntu 20.04, Fedora 28, not Alpine) on x86-64 or ARM64, or macOS; on Windows use WSL2.".format(
                system, machine, " ".join(libc).strip()
            )
        )
    if not venv:
        return (
            "Python's venv module is missing. Install it (Debian, Ubuntu: sudo apt install python{}-venv)"
            " and run make again.".format(short)
        )
    return None


def has_venv() -> bool:
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def newer_python() -> "str | None":
    """A Python on the path that is new enough and really runs."""
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        test = "import sys, venv, ensurepip; sys.exit(sys.version_info < {!r})".format(PYTHON_MIN)
        if found and subprocess.call([found, "-c", test], stderr=subprocess.DEVNULL) == 0:
            return found
    return None


def up_to_date(kind: str) -> bool:
    """Whether `.venv` is complete; what tests need includes what running needs."""
    try:
        done = STAMP.read_text()
    except OSError:
        return False
    return PYTHON.exists() and done in {stamp(other) for other in (kind, "dev")}


def stamp(kind: str) -> str:
    digest = hashlib.sha256()
    for path in (LOCKS[kind], ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return "{} {} {} {}\n".format(kind, digest.hexdigest(), os.path.realpath(sys.executable), ROOT)


def install(kind: str) -> "str | None":
    """Makes the environment; the failing step's own words come before our sentence."""
    print("Setting up .venv ({}); this happens once.".format(kind), flush=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(LOCKS[kind])],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
    ]
    environ = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    for step in steps:
        if subprocess.call(step, cwd=str(ROOT), env=environ) != 0:
            return "Setting up .venv failed, see above. It needs a package index and 400 MB; make starts it again."
    STAMP.write_text(stamp(kind))
    return None


UNWANTED = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

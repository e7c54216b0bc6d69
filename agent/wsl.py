"""What is to be known of WSL2, Linux inside Windows: whether this is one, and how it is set up.

Everything is read from files and programs that WSL2 has; `root` stands before the paths. A WSL2 stops a distribution
soon after the last program that was started from Windows has ended, whatever systemd runs in it: one such program
must stay (`agent.installing.logon`).
"""

from __future__ import annotations

import configparser
from pathlib import Path

import msgspec

from agent import program

ROOT = Path("/")
USERS = "mnt/c/Users"
PROFILES_MAX = 50
INTEROP = ("proc/sys/fs/binfmt_misc/WSLInterop", "proc/sys/fs/binfmt_misc/WSLInterop-late")


class Wsl(msgspec.Struct, frozen=True, kw_only=True):
    distribution: str | None
    """As `wsl.exe -l` calls it."""
    networking: str | None
    """`nat`, `mirrored`, `virtioproxy`, `none`; None: this WSL is too old to say."""
    systemd_runs: bool
    systemd_wanted: bool
    interop: bool
    """Windows programs can be run from here."""
    memory_limit: str | None
    """`memory=` of .wslconfig."""


def is_wsl(root: Path = ROOT) -> bool:
    """WSL2 says so in the name of its kernel; WSL1 is another matter and says only Microsoft."""
    kernel = _read(root / "proc/version").lower()
    return "microsoft" in kernel and "wsl2" in kernel


async def look(named: str | None, root: Path = ROOT) -> Wsl:
    """`named`: what WSL_DISTRO_NAME says, which services do not have."""
    return Wsl(
        distribution=named or await _distribution(),
        networking=await _networking(),
        systemd_runs=_read(root / "proc/1/comm").strip() == "systemd",
        systemd_wanted=_setting(_read(root / "etc/wsl.conf"), "boot", "systemd") == "true",
        interop=any("enabled" in _read(root / path) for path in INTEROP),
        memory_limit=_memory_limit(root),
    )


async def _distribution() -> str | None:
    r"""From the name under which Windows sees our root: `\\wsl.localhost\Ubuntu\`."""
    try:
        answer = await program.ask("wslpath", "-w", "/")
    except program.Missing:
        return None
    parts = [part for part in answer.first_line.split("\\") if part]
    return parts[1] if answer.well and len(parts) > 1 else None


async def _networking() -> str | None:
    try:
        answer = await program.ask("wslinfo", "--networking-mode")
    except program.Missing:
        return None
    return answer.first_line.lower() if answer.well and answer.first_line else None


def _memory_limit(root: Path) -> str | None:
    """Of whichever Windows user has set one."""
    try:
        profiles = sorted((root / USERS).iterdir())[:PROFILES_MAX]
    except OSError:
        return None
    limits = (_setting(_read(profile / ".wslconfig"), "wsl2", "memory") for profile in profiles)
    return next((limit for limit in limits if limit), None)


def _setting(text: str, section: str, key: str) -> str | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    found = parser.get(section, key, fallback=None)
    return None if found is None else found.split("#")[0].strip().lower()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

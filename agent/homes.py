"""Where the installer has put this agent: environments side by side, and a link to the one in force.

    ~/.local/lib/tessera-agent/0.1.0+h1a2b3c/     one environment for each agent
    ~/.local/lib/tessera-agent/current            → the one that runs

An agent from a clone or in a container has no such home, and is updated the way it came.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec

CURRENT = "current"
WHOLE = "installed"
"""A file in an environment that was finished."""


class Home(msgspec.Struct, frozen=True):
    folder: Path

    @property
    def link(self) -> Path:
        return self.folder / CURRENT

    @property
    def current(self) -> Path:
        """The environment in force."""
        return self.link.resolve()

    def environment(self, version: str) -> Path:
        return self.folder / version

    def switch(self, environment: Path) -> None:
        """In one step: whoever starts the agent gets the old one or the new one, whole."""
        fresh = self.folder / f"{CURRENT}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(environment.name)
        os.replace(fresh, self.link)

    def tidy(self, *kept: Path) -> None:
        """Takes away every environment but these."""
        names = {path.name for path in kept}
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in names and (path / "pyvenv.cfg").exists():
                shutil.rmtree(path, ignore_errors=True)


def home(prefix: str = sys.prefix) -> Home | None:
    """Of the agent whose environment this is; None when no installer has made it."""
    environment = Path(prefix)
    folder = environment.parent
    link = folder / CURRENT
    if link.is_symlink() and (environment / WHOLE).exists() and link.resolve().parent == folder.resolve():
        return Home(folder)
    return None


def lasting_python() -> str:
    """A path to this Python that means the agent in force, also after an update."""
    found = home()
    return sys.executable if found is None else str(found.link / "bin" / "python")

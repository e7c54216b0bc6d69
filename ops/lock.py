"""`make lock`: writes the locks from pyproject.toml, hashed, for every Python and system we support.

No address of a package index gets in, so that everybody installs from their own; the hashes say what is right.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNTIME_EXTRAS = ("control-plane", "embedded", "agent", "video", "object-store", "clone")
LOCKS = {
    "requirements-agent.lock": ("agent", "gpu"),
    "requirements-bots.lock": ("bots",),
    "requirements.lock": RUNTIME_EXTRAS,
    "requirements-dev.lock": (*RUNTIME_EXTRAS, "mcp", "bots", "traces", "bench", "dev"),
}
OPTIONS = ("--universal", "--python-version=3.11", "--fork-strategy=fewest", "--generate-hashes", "--quiet")
UNUSED = ("--no-emit-package=pyaes",)
"""What kurigram falls back on without TgCrypto, which we always have; there is no wheel of it."""
SILENCE = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")


def main() -> None:
    """The development lock comes first, so that the others can be held to the same versions."""
    held: list[str] = []
    for name in reversed(LOCKS):
        path = ROOT / "ops" / name
        extras = [f"--extra={extra}" for extra in LOCKS[name]]
        command = [
            "uv",
            "pip",
            "compile",
            "pyproject.toml",
            *OPTIONS,
            *UNUSED,
            *SILENCE,
            *extras,
            *held,
            f"--output-file={path}",
        ]
        subprocess.run(command, cwd=ROOT, check=True)
        held.append(f"--constraints={path}")


if __name__ == "__main__":
    main()

"""`python -m ops.containers.lock`: writes requirements.lock from requirements.in, hashed, for the image's Python.

No address of a package index gets in. What the base image brings along (torch and what belongs to it) is taken as
given and left out, so the lock is installed without looking at dependencies.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent
GIVEN = ("torch==2.7.1", "torchvision==0.22.1")
"""Of the base image."""
LEFT_OUT = ("torch", "torchvision", "triton", "setuptools")
OPTIONS = (
    *("--python-version=3.11", "--python-platform=x86_64-manylinux_2_28", "--generate-hashes", "--quiet"),
    *("--only-binary=:all:", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
)


def main() -> None:
    with TemporaryDirectory() as folder:
        given = Path(folder, "given.txt")
        given.write_text("\n".join(GIVEN))
        command = ["uv", "pip", "compile", str(FOLDER / "requirements.in"), *OPTIONS, f"--constraints={given}"]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [block for block in blocks(found) if not is_given(block)]
    (FOLDER / "requirements.lock").write_text("\n".join(kept) + "\n")


def blocks(text: str) -> list[str]:
    """Each requirement with its hashes."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(" "):
            found[-1].append(line)
        elif line:
            found.append([line])
    return ["\n".join(lines) for lines in found]


def is_given(block: str) -> bool:
    name = block.partition("==")[0]
    return name in LEFT_OUT or (name.startswith("nvidia-") and name != "nvidia-ml-py")


if __name__ == "__main__":
    main()

"""The wheel of the whole project: a control plane installed from it has its website and hands out its agent."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = "frontends/website/out"
CONTAINER = ROOT / "ops" / "containers" / "Containerfile.control-plane"
SELF = """
from control_plane.release.handout import handout
from control_plane.settings import Settings
print(handout().release.version)
print((Settings().site_folder / "index.html").exists())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip would install into."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_it_holds_the_pages_if_they_were_built_and_never_what_they_were_built_from(installed: Path) -> None:
    was_built = (ROOT / SITE / "index.html").exists()
    assert (installed / SITE / "index.html").exists() == was_built
    assert {path.name for path in (installed / "frontends" / "website").glob("*")} <= {"out"}
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"agent", "control_plane", "frontends", "ops", "sql"}


def test_a_control_plane_from_the_wheel_hands_out_the_same_agent(installed: Path) -> None:
    def said(folder: Path) -> list[str]:
        command = [sys.executable, "-c", SELF]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()

    version, has_site = said(installed)
    assert re.fullmatch(r"[\d.]+\+h[0-9a-f]{10}", version)
    assert [version, has_site] == said(ROOT)


def test_the_container_copies_what_is_there_and_builds_the_pages_apart() -> None:
    text = CONTAINER.read_text()
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)]
    sources = {source for words in copied for source in words}
    assert sources >= {"pyproject.toml", "control_plane", "agent", "frontends", "sql", "ops"}
    assert not [source for source in sources if not (ROOT / source).exists()]
    ignored = CONTAINER.with_name("containerignore.control-plane").read_text().splitlines()
    listed = {line[1:] for line in ignored if line.startswith("!")}
    assert not [path for path in listed if not (ROOT / path).exists()]
    packed = re.findall(r'^  "(ops/[^"]+)",', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    packed += re.findall(r' "(ops/[^"]+)",', (ROOT / "pyproject.toml").read_text())
    assert set(packed) <= listed, "what belongs into the wheel reaches the container"
    assert len(set(packed)) >= 4
    assert "COPY --from=site /site/out frontends/website/out" in text
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    assert not re.search(r"^ARG REGISTRY=\S", text, re.MULTILINE)

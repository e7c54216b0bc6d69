"""Where model files lie, and what is remembered of their hashes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec import structs

from agent.engine.comfyui.weights import Weights as Reading
from agent.engine.repertory import keep
from agent.hashes import Hashes
from agent.models import folders, licence, safetensors
from agent.models.depot import depot
from agent.models.folders import at
from agent.models.plan import removable
from agent.models.progress import Progress
from agent.models.safetensors import LENGTH_BYTES, NotSafetensors
from agent.settings import ConfigurationError, Settings
from control_plane.wire import weights as lists
from control_plane.wire.weights import Licence, Weights
from control_plane.wire.workflow import SHIPPED, load, sent
from tests.standins.comfyui.server import standing_in
from tests.standins.sources import sha256, tensors

NOTHING = Weights(licences={}, files={})
NOBODY = "http://127.0.0.1:9"


async def test_a_running_comfyui_says_where_its_models_lie(tmp_path: Path) -> None:
    """Not in its output, though it looks there too."""
    async with standing_in(tmp_path) as comfyui:
        (tmp_path / "models" / "checkpoints").mkdir(parents=True, exist_ok=True)
        found = await folders.found(Settings(dir=tmp_path, comfyui_url=comfyui.url))
        assert found.target("checkpoints/a.safetensors") == tmp_path / "models" / "checkpoints" / "a.safetensors"
        with pytest.raises(ConfigurationError, match="no folder loras"):
            found.target("loras/a.safetensors")


async def test_without_a_comfyui_its_folder_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--models FOLDER"):
        await folders.found(Settings(dir=tmp_path, comfyui_url=NOBODY))
    with pytest.raises(ConfigurationError, match="is no folder"):
        await folders.found(Settings(dir=tmp_path, comfyui_url=NOBODY, comfyui_models=tmp_path / "nowhere"))
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    found = await folders.found(Settings(dir=tmp_path, comfyui_url=NOBODY, comfyui_dir=tmp_path / "ComfyUI"))
    assert found.root == tmp_path / "ComfyUI" / "models"


def test_files_in_folders_of_the_older_name_are_found(tmp_path: Path) -> None:
    old = tmp_path / "clip" / "t5.safetensors"
    old.parent.mkdir()
    old.write_bytes(tensors(1_000))
    place = at(tmp_path)
    assert place.target("text_encoders/t5.safetensors") == old
    assert place.target("text_encoders/other.safetensors") == tmp_path / "text_encoders" / "other.safetensors"
    found = place.survey(["text_encoders/t5.safetensors", "vae/a.safetensors"], NOTHING, Hashes())
    assert found["text_encoders/t5.safetensors"].bytes == 1_000
    assert found["vae/a.safetensors"].bytes is None
    [free] = place.free(found).values()
    assert 0 < free <= os.statvfs(tmp_path).f_bfree * os.statvfs(tmp_path).f_frsize


def test_a_hash_is_known_as_long_as_the_file_stays_the_same(tmp_path: Path) -> None:
    file, memory = tmp_path / "a", tmp_path / "state" / "hashes.json"
    file.write_bytes(b"one")
    ours, others = Hashes(memory), Hashes(memory)
    assert ours.known(file) is None
    assert ours.read(file) == sha256(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert others.read(tmp_path / "b") == sha256(b"two")
    later = Hashes(memory)
    assert (later.known(file), later.known(tmp_path / "b")) == (sha256(b"one"), sha256(b"two"))
    file.write_bytes(b"three")
    assert later.known(file) is None
    assert later.read(file, lambda _: False) is None, "who stops reading knows nothing"
    memory.write_text("not ours")
    assert Hashes(memory).known(file) is None


async def test_the_engine_does_not_read_again_what_the_commands_have_read(tmp_path: Path) -> None:
    [workflow] = [workflow for workflow in load(SHIPPED) if workflow.name == "sd15"]
    [wanted] = workflow.manifest.files
    folder = tmp_path / wanted.folder
    folder.mkdir()
    file = folder / wanted.name
    file.write_bytes(b"as it was")
    memory = Hashes(tmp_path / "hashes.json")
    memory.learn(file, "0" * 64)  # as only somebody could say who has read it
    reading = Reading({wanted.folder: [str(folder)]}, [workflow], Hashes(tmp_path / "hashes.json"))
    assert reading.of(workflow)[0].sha256 == "0" * 64
    file.write_bytes(b"as it is now")
    assert reading.of(workflow)[0].sha256 is None
    reading.start()
    async with asyncio.timeout(10):
        while reading.of(workflow)[0].sha256 is None:
            await asyncio.sleep(0.01)
    reading.stop()
    assert reading.of(workflow)[0].sha256 == sha256(b"as it is now")
    assert Hashes(tmp_path / "hashes.json").known(file) == sha256(b"as it is now")


def _file(header: str, body: bytes = b"") -> bytes:
    """`FOUR` stands for a tensor of the first four bytes."""
    header = header.replace("FOUR", '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}')
    return len(header).to_bytes(LENGTH_BYTES, "little") + header.encode() + body


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "bytes"),
        (b"\x80\x02}q\x00.", "bytes"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00" * 9, "length of a header"),
        (b"\xff" * 100, "length of a header"),
        (_file("[1,2,3]"), "no JSON object"),
        (_file("{} "), "do not fill"),
        (_file('{"a":1}'), "does not describe tensors"),
        (_file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,5]}}', bytes(5)), "another size"),
        (_file('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)), "does not describe"),
        (_file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)), "follow"),
        (_file('{"a":FOUR,"b":FOUR}', bytes(4)), "follow"),
        (_file('{"a":FOUR}', bytes(5)), "do not fill"),
        (_file('{"a":FOUR}', bytes(3)), "do not fill"),
        (_file('{"__metadata__":{"a":5},"a":FOUR}', bytes(4)), "does not describe"),
        (_file("{" + '"a":{' * 5_000, bytes(4)), "does not describe"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(NotSafetensors, match=word):
        safetensors.check_file(tmp_path / "a")


def test_real_safetensors_files_pass(tmp_path: Path) -> None:
    """Padded headers, metadata, tensors of no size and kinds that came later."""
    for content in (
        tensors(4_096),
        _file('{"__metadata__":{"format":"pt"},"a":FOUR}   ', bytes(4)),
        _file('{"b":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},"a":FOUR}', bytes(4)),
        _file('{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}', bytes(2)),
    ):
        (tmp_path / "a").write_bytes(content)
        safetensors.check_file(tmp_path / "a")


def test_a_licence_that_has_changed_is_asked_for_again(tmp_path: Path) -> None:
    book = tmp_path / "state" / "licences.json"
    first = Licence(name="A", url="https://a.example/1", version="1", commercial="yes")
    second = Licence(name="A", url="https://a.example/1", version="2", commercial="no")
    licence.accept(book, "a", first, "option")
    assert licence.is_accepted(licence.load(book), "a", first)
    assert not licence.is_accepted(licence.load(book), "a", second)
    assert not licence.is_accepted(licence.load(book), "b", first)
    licence.accept(book, "a", second, "asked")
    assert [given.version for given in licence.load(book)] == ["1", "2"]
    book.write_text("torn")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        licence.accept(book, "a", first, "option")
    assert book.read_text() == "torn", "a record is not written over"


async def test_plans_are_made_for_the_workflows_that_are_in_force(tmp_path: Path) -> None:
    """As the control plane said them last; before that for the shipped ones."""
    settings = Settings(dir=tmp_path, comfyui_models=tmp_path)
    assert len((await depot(settings)).needs) == len(load(SHIPPED))
    keep(settings.workflows_file, sent([workflow for workflow in load(SHIPPED) if workflow.name == "sd15"]))
    place = await depot(settings)
    assert [need.workflow for need in place.needs] == ["sd15"]
    assert [row.file for row in place.plan().files] == place.needs[0].files
    lora = tmp_path / "loras" / "pixel-art-xl.safetensors"
    lora.parent.mkdir()
    lora.write_bytes(b"of a workflow that is not in force any more")
    found = place.folders.survey(place.files, place.weights, place.hashes)
    assert removable(place.needs, found, None, place.weights) == ["loras/pixel-art-xl.safetensors"]


async def test_entries_that_an_agent_cannot_judge_are_left_out_and_the_number_sent_is_bounded(tmp_path: Path) -> None:
    """A newer control plane's, one whose name leads elsewhere; a shipped file follows what the control plane says."""
    shipped = lists.load(SHIPPED)
    [first, *_] = entries = shipped.entries(list(shipped.files)[:3])
    larger = structs.replace(first, file=structs.replace(first.file, bytes=first.file.bytes + 1))
    found = sent(load(SHIPPED), [larger, *entries[1:]])
    assert found.revision != sent(load(SHIPPED), entries).revision
    newer = structs.replace(found.weights[0], file=msgspec.Raw(b'{"since": 2031}'))
    climbing = bytes(found.weights[0].file).replace(b'"name":"', b'"name":"../')
    wrong = structs.replace(found.weights[0], file=msgspec.Raw(climbing))
    settings = Settings(dir=tmp_path, comfyui_models=tmp_path)
    keep(settings.workflows_file, structs.replace(found, weights=[newer, wrong, *found.weights]))
    files = (await depot(settings)).weights.files
    assert files[first.file.path].bytes == first.file.bytes + 1
    assert files.keys() == shipped.files.keys()

    long = structs.replace(first.file, sources=[f"https://a.example/{'x' * 900}"] * lists.SOURCES_MAX)
    many = [structs.replace(first, file=structs.replace(long, name=f"{n}.safetensors")) for n in range(200)]
    bounded = sent([], many)
    assert 0 < len(bounded.weights) < 200
    assert len(msgspec.json.encode(bounded)) < 1.1 * lists.SENT_BYTES_MAX


@pytest.mark.parametrize(("form", "sign"), [("bar", "\r"), ("json", "{")])
def test_progress_is_told_now_and_then(form: Literal["bar", "json"], sign: str) -> None:
    """Not with every piece, and the first time not at once."""
    told: list[str] = []
    progress = Progress("loras/a.safetensors", 2**30, form, told.append)
    done, deadline = 0, time.monotonic() + 10
    while len(told) < 1 and time.monotonic() < deadline:
        progress(done := done + 2**16)
        time.sleep(0.001)
    assert done > 10 * 2**16
    assert told[0].startswith(sign)
    assert {"bar": "/s", "json": f'"bytes":{done}'}[form] in told[0]

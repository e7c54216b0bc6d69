"""What a plan says is true whatever lies on the disk, and nothing that is needed is ever removable."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.plan import Found, Need, Plan, UnknownName, named, plan, removable, telling
from control_plane.wire import weights as lists
from control_plane.wire.weights import Licence, WeightFile, Weights, WeightsError
from control_plane.wire.workflow import SHIPPED, load

NAMES = [f"loras/{letter}.safetensors" for letter in "abcdef"]
DISKS = ["/", "/models"]
LICENCES = {
    "free": Licence(name="Free", url="https://a.example/", version="1", commercial="yes"),
    "dear": Licence(name="Dear", url="https://a.example/", version="1", commercial="no"),
}

sizes = st.integers(1, 2**40)
listed = st.dictionaries(st.sampled_from(NAMES), st.tuples(sizes, st.sampled_from(sorted(LICENCES))))
workflows = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True), min_size=1, max_size=5)
entries = st.tuples(st.sampled_from(["whole", "none", "part", "other"]), st.integers(0, 2**40), st.sampled_from(DISKS))


def _weights(files: dict[str, tuple[int, str]]) -> Weights:
    made = {
        path: WeightFile(
            folder="loras",
            name=path.partition("/")[2],
            bytes=size,
            sources=["https://a.example/x"],
            licence=licence,
            vram_gib=4,
        )
        for path, (size, licence) in files.items()
    }
    return Weights(licences=LICENCES, files=made)


def _found(kinds: dict[str, tuple[str, int, str]], weights: Weights) -> dict[str, Found]:
    found = {}
    for path, (kind, number, disk) in kinds.items():
        size = weights.files[path].bytes if path in weights.files else number
        whole = {"whole": size, "other": size + 1}.get(kind)
        found[path] = Found(bytes=whole, part_bytes=min(number, size) if kind == "part" else 0, disk=disk)
    return found


def _needs(files: list[list[str]]) -> list[Need]:
    return [Need(workflow=f"w{n}", model=f"m{n % 2}", vram_gib=4, files=each) for n, each in enumerate(files)]


def _complete(whole: Plan) -> set[str]:
    return {course.workflow for course in whole.workflows if not course.lacks}


@settings(max_examples=150)
@given(listed, workflows, st.fixed_dictionaries(dict.fromkeys(NAMES, entries)), st.tuples(sizes, sizes), sizes)
def test_a_plan_counts_each_file_once_and_fits_when_it_says_so(
    files: dict[str, tuple[int, str]],
    used: list[list[str]],
    kinds: dict[str, tuple[str, int, str]],
    free: tuple[int, int],
    reserve: int,
) -> None:
    weights, needs = _weights(files), _needs(used)
    found = _found(kinds, weights)
    room = dict(zip(DISKS, free, strict=True))
    whole = plan(needs, weights, found, room, reserve)
    assert [row.file for row in whole.files] == sorted({file for need in needs for file in need.files})
    assert whole.left_bytes == sum(row.left_bytes for row in whole.files)
    assert sum(disk.needed_bytes for disk in whole.disks) == whole.left_bytes
    assert whole.fits == all(not d.needed_bytes or d.needed_bytes + reserve <= room[d.disk] for d in whole.disks)
    for course in whole.workflows:
        assert course.left_bytes <= whole.left_bytes
        assert set(course.lacks) == {
            row.file for row in whole.files if row.state != "here" and course.workflow in row.workflows
        }
    assert set(whole.licences) == {files[row.file][1] for row in whole.files if row.left_bytes}
    loaded = {f: Found(bytes=weights.files[f].bytes, disk="/") if f in weights.files else e for f, e in found.items()}
    then = plan(needs, weights, loaded, room, reserve)
    assert then.left_bytes == 0
    assert then.fits
    assert {row.file for row in then.files if row.state != "here"} == {row.file for row in whole.unlisted}


@settings(max_examples=150)
@given(listed, workflows, st.fixed_dictionaries(dict.fromkeys(NAMES, entries)), st.sets(st.sampled_from(NAMES)))
def test_removing_takes_nothing_that_a_complete_workflow_needs(
    files: dict[str, tuple[int, str]], used: list[list[str]], kinds: dict[str, tuple[str, int, str]], leaving: set[str]
) -> None:
    weights, needs = _weights(files), _needs(used)
    found = _found(kinds, weights)
    before = plan(needs, weights, found, {}, 0)
    for chosen in (None, leaving):
        going = removable(needs, found, chosen, weights)
        after = plan(needs, weights, {f: e for f, e in found.items() if f not in going}, {}, 0)
        sacrificed = {need.workflow for need in needs if chosen is not None and set(need.files) <= chosen}
        assert _complete(before) - sacrificed <= _complete(after)
        assert chosen is None or set(going) <= chosen
        assert all(found[file].bytes is not None or found[file].part_bytes for file in going)
    untouched = set(found) - {file for need in needs for file in need.files} - set(weights.files)
    assert not untouched & set(removable(needs, found, None, weights))


def test_a_name_is_a_workflow_a_model_or_a_file() -> None:
    needs, weights = _needs([NAMES[:2], NAMES[1:3], NAMES[4:5]]), _weights({NAMES[5]: (1, "free")})
    assert named(["w1"], needs, weights) == set(NAMES[1:3])
    assert named(["m0"], needs, weights) == {*NAMES[:2], NAMES[4]}
    assert named(["f.safetensors", NAMES[0]], needs, weights) == {NAMES[5], NAMES[0]}
    with pytest.raises(UnknownName, match="'w7'"):
        named(["w7"], needs, weights)


def test_a_check_up_names_the_nearest_workflow_only_when_none_is_complete() -> None:
    weights = _weights({NAMES[0]: (5, "free"), NAMES[1]: (3, "free")})
    needs = _needs([NAMES[:1], NAMES[1:2]])
    result, found, cure = telling(plan(needs, weights, {}, {}, 0))
    assert (result, found) == ("note", "0 of 2 workflows have all their files")
    assert "models pull w1" in cure
    here = {NAMES[0]: Found(bytes=5)}
    assert telling(plan(needs, weights, here, {}, 0)) == ("ok", "1 of 2 workflows have all their files: w0", "")


def test_every_file_of_every_shipped_workflow_is_listed_with_a_hash() -> None:
    """And with the least memory of a GPU that one of its workflows runs on."""
    weights, shipped = lists.load(SHIPPED), load(SHIPPED)
    needed: dict[str, int] = {}
    for workflow in shipped:
        for file in workflow.manifest.files:
            path = f"{file.folder}/{file.name}"
            needed[path] = min(needed.get(path, 1_000), workflow.manifest.vram_gib)
    assert len(needed) > 10
    assert needed == {path: file.vram_gib for path, file in weights.files.items() if path in needed}
    for entry in weights.files.values():
        assert entry.sha256 is not None
        assert entry.found
        assert all(source.startswith("https://") for source in entry.sources)
        assert entry.name.endswith(".safetensors")
    sold = {path: weights.licences[file.licence].commercial for path, file in weights.files.items()}
    assert sold["checkpoints/flux1-dev-fp8.safetensors"] == "no"
    assert sold["checkpoints/flux1-schnell-fp8.safetensors"] == "yes"
    assert sold["checkpoints/sd3.5_large_fp8_scaled.safetensors"] == "conditional"


GOOD = """
[licences.free]
name = "Free"
version = "1"
url = "https://a.example/licence"
commercial = "yes"
[[files]]
folder = "loras"
name = "a.safetensors"
bytes = 5
sources = ["https://a.example/a"]
licence = "free"
vram_gib = 4
"""


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("a.safetensors", "../a.safetensors", "name"),
        ("a.safetensors", "/etc/passwd", "name"),
        ('"loras"', '"../loras"', "folder"),
        ("bytes = 5", "bytes = 0", "bytes"),
        ("bytes = 5", "", "bytes"),
        ("https://a.example/a", "https://me:secret@a.example/a", "sources"),
        ("https://a.example/a", "ftp://a.example/a", "sources"),
        ('licence = "free"', 'licence = "other"', "no list has"),
        ('commercial = "yes"', 'commercial = "conditional"', "no conditions"),
        ('commercial = "yes"', 'commercial = "maybe"', "commercial"),
        ("vram_gib = 4", 'vram_gib = 4\nsha256 = "abc"', "sha256"),
        ("vram_gib = 4", "vram_gib = 4\nsize = 5", "size"),
    ],
)
def test_a_list_with_a_mistake_is_refused_by_its_name(before: str, after: str, word: str) -> None:
    assert list(lists.parse({"good.toml": GOOD.encode()}).files) == ["loras/a.safetensors"]
    assert before in GOOD
    with pytest.raises(WeightsError, match=r"^bad\.toml: ") as caught:
        lists.parse({"bad.toml": GOOD.replace(before, after, 1).encode()})
    assert word in str(caught.value)


def test_a_later_folder_stands_over_an_earlier_one(tmp_path: Path) -> None:
    """An operator's own list may use the shipped licences, and say something else of a shipped file."""
    (tmp_path / "weights").mkdir()
    mine = GOOD.partition("[[files]]")[2].replace('"free"', '"apache-2"')
    (tmp_path / "weights" / "mine.toml").write_text(f"[[files]]{mine}")
    both = lists.load(SHIPPED, tmp_path)
    licence = both.licence_of("loras", "a.safetensors")
    assert licence is not None
    assert licence.commercial == "yes"
    assert both.licence_of("loras", "unheard-of.safetensors") is None
    assert len(both.files) == len(lists.load(SHIPPED).files) + 1

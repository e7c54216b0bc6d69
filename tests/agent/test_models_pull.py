"""Loading a model file from servers that misbehave: what is here in the end is right, or nothing is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from yarl import URL

from agent.models import egress
from agent.models.part import Busy, Part, kept_bytes, note_path, part_path
from agent.models.pull import pull
from agent.models.receive import Patience, PullFailed, Wanted
from tests.standins.sources import Fault, sha256, sources, tensors

SIZE = 3 * 1024 * 1024 + 17
CONTENT = tensors(SIZE)
OTHER = tensors(SIZE, seed=2)
HASTE = Patience(stall_seconds=0.5, stall_bytes=1024, tries_max=3)


def _wanted(folder: Path, *urls: str, content: bytes = CONTENT, **more: object) -> Wanted:
    fields = {"bytes": len(content), "sha256": sha256(content), "sources": list(urls), **more}
    return Wanted(path="loras/a.safetensors", target=folder / "loras" / "a.safetensors", **fields)  # type: ignore[arg-type]


async def _pull(wanted: Wanted, told: list[int] | None = None, patience: Patience = HASTE) -> str:
    async with egress.session() as client:
        return await pull(wanted, client, (told if told is not None else []).append, patience)


def _only(wanted: Wanted, content: bytes = CONTENT) -> None:
    """The file lies there whole, and nothing beside it."""
    assert wanted.target.read_bytes() == content
    assert [path.name for path in wanted.target.parent.iterdir()] == [wanted.target.name]


def _kept(wanted: Wanted) -> int:
    return kept_bytes(wanted.target, wanted.bytes, wanted.sha256)


async def test_a_file_is_loaded_and_told_of_on_the_way(tmp_path: Path) -> None:
    async with sources() as stand:
        wanted, told = _wanted(tmp_path, stand.put("/a", CONTENT)), list[int]()
        assert await _pull(wanted, told) == sha256(CONTENT)
        _only(wanted)
        assert told == sorted(told)
        assert told[-1] == SIZE
        assert [seen.range for seen in stand.seen] == [""]


async def test_a_cut_costs_nothing_that_was_here(tmp_path: Path) -> None:
    """Three cuts, and each piece is asked for once, on the condition that nothing has changed."""
    async with sources() as stand:
        cuts = [Fault(cut_after=1_000_000), Fault(cut_after=500_000), Fault(status=503), Fault(cut_after=700_000)]
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT, *cuts))
        await _pull(wanted)
        _only(wanted)
        begins = [int(seen.range[6:-1]) for seen in stand.seen[1:]]
        assert len(begins) == 4
        assert begins == sorted(begins)
        assert begins[-1] >= 1_500_000
        assert {seen.if_range for seen in stand.seen[1:]} == {stand.tags["/a"]}


async def test_who_is_stopped_goes_on_where_he_was(tmp_path: Path) -> None:
    async with sources() as stand:
        stalled = Fault(cut_after=2_000_000)
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT, stalled, Fault(trickle_seconds=5)))
        reached = asyncio.Event()
        stand.during = lambda sent: reached.set() if sent >= 2_000_000 else None
        loading = asyncio.ensure_future(_pull(wanted, patience=Patience()))
        await asyncio.wait_for(reached.wait(), 10)
        while len(stand.seen) < 2:
            await asyncio.sleep(0.01)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        kept = _kept(wanted)
        assert kept >= 1_000_000
        assert not wanted.target.exists()
        told: list[int] = []
        await _pull(wanted, told)
        _only(wanted)
        assert told[0] >= kept
        assert stand.seen[-1].range == f"bytes={kept}-"


async def test_what_a_crash_has_spoilt_of_a_part_is_loaded_again(tmp_path: Path) -> None:
    """Bytes behind the last mark are not believed, nor those that a mark contradicts."""
    wanted = _wanted(tmp_path, "")
    wanted.target.parent.mkdir()
    part = Part(wanted.target, SIZE, wanted.sha256)
    part.open()
    part.begin("elsewhere", None)
    part.write(CONTENT[:1_000_000])
    part.mark()
    part.write(CONTENT[1_000_000:2_000_000])
    part.mark()
    part.close()
    with part_path(wanted.target).open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"spoilt")
        file.seek(2_000_000)
        file.write(b"never marked")
    async with sources() as stand:
        url = stand.put("/a", CONTENT)
        await _pull(_wanted(tmp_path, url))
        _only(wanted)
        assert [seen.range for seen in stand.seen] == ["bytes=1000000-"]


@pytest.mark.parametrize(
    "fault", [Fault(ignore_range=True), Fault(wrong_piece=True), Fault(status=416)], ids=["200", "wrong piece", "416"]
)
async def test_a_lie_about_the_range_spoils_nothing(tmp_path: Path, fault: Fault) -> None:
    async with sources() as stand:
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT, Fault(cut_after=1_000_000), fault))
        await _pull(wanted)
        _only(wanted)
        assert stand.seen[1].range.startswith("bytes=")


async def test_a_file_that_changed_meanwhile_is_loaded_from_the_start(tmp_path: Path) -> None:
    async with sources() as stand:
        url = stand.put(
            "/a", OTHER, Fault(cut_after=1_000_000), Fault(status=500), Fault(status=500), Fault(status=500)
        )
        with pytest.raises(PullFailed):
            await _pull(_wanted(tmp_path, url))
        assert _kept(_wanted(tmp_path, url)) > 0
        stand.put("/a", CONTENT)
        wanted = _wanted(tmp_path, url)
        await _pull(wanted)
        _only(wanted)
        assert stand.seen[-1].if_range != stand.tags["/a"]


@pytest.mark.parametrize(
    ("first_of", "cut"), [(OTHER, 2_000_000), (b"<html>".ljust(SIZE), 500_000)], ids=["hash", "page"]
)
async def test_pieces_of_two_sources_that_do_not_belong_together_are_thrown_away(
    tmp_path: Path, first_of: bytes, cut: int
) -> None:
    """The first mirror has another file of the same length: its part is tried, found out in the end and dropped."""
    async with sources() as stand:
        first = stand.put("/first", first_of, Fault(cut_after=cut))
        stand.always["/first"] = Fault(status=500)
        wanted = _wanted(tmp_path, first, stand.put("/second", CONTENT))
        await _pull(wanted)
        _only(wanted)
        assert [bool(seen.range) for seen in stand.asked("/second")] == [True, False]


@pytest.mark.parametrize(
    ("content", "fault", "word"),
    [
        (OTHER, Fault(), "another hash"),
        (CONTENT[:-1], Fault(), f"{SIZE - 1} bytes instead of {SIZE}"),
        (CONTENT, Fault(longer=5), "more than"),
        (CONTENT, Fault(packed=True), "packed"),
        (CONTENT, Fault(status=404), "404"),
        (CONTENT, Fault(status=403), "token"),
        (CONTENT, Fault(status=503, retry_after="0"), "503"),
        (CONTENT, Fault(trickle_seconds=0.05), "bytes in 0.5 s"),
        (b"<html>".ljust(SIZE, b"x"), Fault(), "no safetensors"),
        (b"\x80\x02ctorch\n".ljust(SIZE, b"x"), Fault(), "no safetensors"),
    ],
    ids=["hash", "short", "long", "packed", "gone", "refused", "busy", "trickle", "page", "pickle"],
)
async def test_a_source_that_is_no_good_leaves_nothing_bad_and_the_next_one_is_asked(
    tmp_path: Path, content: bytes, fault: Fault, word: str
) -> None:
    async with sources() as stand:
        bad, good = stand.put("/bad", content), stand.put("/good", CONTENT)
        stand.always["/bad"] = fault
        wanted = _wanted(tmp_path, bad)
        with pytest.raises(PullFailed, match=word) as caught:
            await _pull(wanted)
        assert caught.value.again == (word in ("503", "bytes in 0.5 s"))
        assert not wanted.target.exists()
        assert _kept(wanted) < 100  # a few right bytes of the one that trickles
        await _pull(_wanted(tmp_path, bad, good))
        _only(wanted)
        assert len(stand.asked("/good")) == 1


async def test_a_pickle_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    """Not after gigabytes: the rest is never asked for."""
    async with sources() as stand:
        sent: list[int] = []
        stand.during = sent.append
        content = b"\x80\x02ctorch\n".ljust(64 * 1024 * 1024, b"x")
        with pytest.raises(PullFailed, match="no safetensors"):
            await _pull(_wanted(tmp_path, stand.put("/a", content), content=content))
        assert sent
        assert max(sent) < 32 * 1024 * 1024


async def test_two_who_load_one_file_do_not_destroy_it(tmp_path: Path) -> None:
    async with sources() as stand:
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT))
        both = await asyncio.gather(_pull(wanted), _pull(wanted), return_exceptions=True)
        assert sorted(type(one).__name__ for one in both) == ["Busy", "str"]
        _only(wanted)
        assert await _pull(wanted) == sha256(CONTENT)  # who comes later finds it here
        assert len(stand.seen) == 1


async def test_a_part_that_somebody_writes_is_not_taken_away(tmp_path: Path) -> None:
    part = Part(tmp_path / "a", SIZE, None)
    part.open()
    with pytest.raises(Busy):
        Part(tmp_path / "a", SIZE, None).open()
    part.close()
    assert list(tmp_path.iterdir()) == []


async def test_an_owners_own_file_of_the_same_name_stays(tmp_path: Path) -> None:
    async with sources() as stand:
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT))
        wanted.target.parent.mkdir()
        wanted.target.write_bytes(OTHER)
        with pytest.raises(PullFailed, match="--replace"):
            await _pull(wanted)
        _only(wanted, OTHER)
        await _pull(_wanted(tmp_path, stand.url + "/a", replace=True))
        _only(wanted)


async def test_a_token_goes_to_its_own_host_alone(tmp_path: Path) -> None:
    """Not to where a redirect leads, and to the first host only."""
    async with sources() as gate, sources() as store:
        behind = store.put("/signed", CONTENT)
        url = gate.put("/a", CONTENT, Fault(location=f"{behind}?X-Sig=a%2Fb%2Bc"))
        host = url.removeprefix("http://").partition("/")[0]
        wanted = _wanted(tmp_path, url, tokens={host: "hf_secret"})
        await _pull(wanted)
        _only(wanted)
        assert [seen.authorization for seen in gate.seen] == ["Bearer hf_secret"]
        assert [seen.authorization for seen in store.seen] == [""]
        assert "hf_secret" not in str(list(tmp_path.rglob("*")))


async def test_a_round_of_redirects_ends(tmp_path: Path) -> None:
    async with sources() as stand:
        url = stand.put("/a", CONTENT)
        stand.always["/a"] = Fault(location="/a")
        with pytest.raises(PullFailed, match="from one address to the next"):
            await _pull(_wanted(tmp_path, url))
        assert len(stand.seen) == egress.REDIRECTS_MAX + 1


@pytest.mark.parametrize(
    ("url", "first", "plain", "allowed"),
    [
        ("https://a.example/x", "https://a.example/x", False, True),
        ("http://a.example/x", "http://a.example/x", False, False),
        ("http://a.example/x", "http://a.example/x", True, True),
        ("http://a.example/x", "https://a.example/x", False, False),
        ("http://127.0.0.1:1/x", "http://127.0.0.1/x", False, True),
        ("http://127.0.0.1:1/x", "https://a.example/x", False, False),
        ("https://localhost/x", "https://a.example/x", False, False),
        ("ftp://a.example/x", "https://a.example/x", False, False),
        ("file:///etc/passwd", "https://a.example/x", True, False),
    ],
)
def test_only_https_is_asked_and_nobody_sends_us_to_ourselves(url: str, first: str, plain: bool, allowed: bool) -> None:
    try:
        egress.check(URL(url), URL(first), plain=plain)
    except egress.Unsafe:
        assert not allowed
    else:
        assert allowed


async def test_a_file_of_unknown_hash_is_not_pieced_together_from_what_may_differ(tmp_path: Path) -> None:
    async with sources() as stand:
        first = stand.put("/first", CONTENT, Fault(cut_after=1_000_000))
        stand.always["/first"] = Fault(status=500)
        wanted = _wanted(tmp_path, first, stand.put("/second", CONTENT), sha256=None)
        assert await _pull(wanted) == sha256(CONTENT)
        assert [seen.range for seen in stand.asked("/second")] == [""]


async def test_a_part_for_another_file_of_this_name_is_not_gone_on_with(tmp_path: Path) -> None:
    async with sources() as stand:
        url = stand.put("/a", OTHER, Fault(cut_after=1_000_000))
        stand.always["/a"] = Fault(status=500)
        with pytest.raises(PullFailed):
            await _pull(_wanted(tmp_path, url, content=OTHER))
        assert note_path(tmp_path / "loras" / "a.safetensors").exists()
        del stand.always["/a"]
        wanted = _wanted(tmp_path, stand.put("/a", CONTENT))
        await _pull(wanted)
        _only(wanted)
        assert stand.seen[-1].range == ""

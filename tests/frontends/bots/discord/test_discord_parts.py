"""The small parts of the Discord bots: addresses, nonces, what was chosen, and the buckets of the platform."""

from __future__ import annotations

import asyncio
import io
import time

import hikari
import pytest
from hikari.internal import routes
from PIL import Image

from frontends.bots.discord.addresses import Address, nonce, read
from frontends.bots.discord.buckets import Buckets
from frontends.bots.discord.looks import glimpse_name
from frontends.bots.discord.options import offered, text
from frontends.bots.language.grammar import understand


@pytest.mark.parametrize("address", [Address(1, 2), Address(1, 0, 900.0, "aW50/eA+_-:="), Address(7, 8, 1e9, "x")])
def test_an_address_is_read_as_it_was_written(address: Address) -> None:
    assert read(str(address)) == address


@pytest.mark.parametrize("text", ["", "u1", "1/x", "1/2/soon/token"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert read(text) is None


def test_a_token_lives_until_its_end() -> None:
    address = Address(1, 2, 900.0, "token")
    assert address.lives(899.0)
    assert not address.lives(900.0)
    assert not Address(1, 2).lives(0.0)


def test_a_nonce_is_the_same_for_the_same_message_only_and_short_enough() -> None:
    assert nonce("paint/1/1", "end:1") == nonce("paint/1/1", "end:1")
    assert len({nonce("paint/1/1", "end:1"), nonce("paint/1/1", "end:2"), nonce("ink/1/1", "end:1")}) == 3
    assert len(nonce("paint/1/1", "end:1")) <= 25


def test_what_was_chosen_is_understood_as_if_it_had_been_typed() -> None:
    chosen = {
        "prompt": "a wide river",
        "shape": "21:9",
        "count": 3,
        "seed": 7,
        "without": 'people, "boats"',
        "steps": 9,
    }
    found = understand(text("generate", chosen), "en", kind="image")
    assert found.prompt == "a wide river"
    assert (found.wishes.aspect, found.wishes.count, found.wishes.seed, found.wishes.steps) == ("21:9", 3, 7, 9)
    assert found.wishes.negatives == ("people, boats",)
    assert text("balance", {}) == ""
    assert text("cancel", {"which": "all"}) == "all"


def test_films_have_a_length_and_pictures_a_count() -> None:
    assert {"seconds", "fps"} <= set(offered("video", "image"))
    assert "count" not in offered("generate", "video")
    assert "seconds" not in offered("generate", "image")
    assert offered("balance", "image") == {}


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_preview_is_named_after_what_it_is(kind: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind)
    assert glimpse_name(out.getvalue()) == f"preview.{'jpg' if kind == 'jpeg' else kind}"


def _told(buckets: Buckets, route: routes.CompiledRoute, left: int, seconds: float) -> None:
    buckets.update_rate_limits(route, None, "edits", left, 5, time.time() + seconds, seconds)


async def _refused(buckets: Buckets, route: routes.CompiledRoute) -> float:
    with pytest.raises(hikari.RateLimitTooLongError) as refusal:
        async with buckets.acquire_bucket(route, None):
            pass
    return refusal.value.retry_after


async def test_who_comes_too_early_is_told_when_to_come_and_holds_nobody_else_up() -> None:
    buckets = Buckets()
    ann, ben = (
        routes.PATCH_WEBHOOK_MESSAGE.compile(webhook=1, token=token, message=2) for token in ("ann-token", "ben-token")
    )
    async with buckets.acquire_bucket(ann, None), buckets.acquire_bucket(ben, None):
        pass  # nothing is known yet, and nobody waits for anybody
    _told(buckets, ann, 1, 0.2)
    async with buckets.acquire_bucket(ann, None):
        assert 0 < await _refused(buckets, ann) <= 0.2, "what is on its way counts"
        async with buckets.acquire_bucket(ben, None):
            pass
    await asyncio.sleep(0.2)
    async with buckets.acquire_bucket(ann, None):
        pass
    buckets.throttle(5.0)
    assert await _refused(buckets, ben) > 4.0

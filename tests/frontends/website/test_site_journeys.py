"""What a person does on the website, from the door to the picture, also when something comes in between."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from control_plane.people.credentials import SCOPES, create_key
from tests.fixtures.site import DESKTOP, PHONE, Visitor, visiting
from tests.fixtures.worker import serving
from tests.fixtures.working import working

STRANGE = "a lighthouse 🌊 منارة <script>alert(1)</script>"
PRICE = "document.querySelector('.quote .number').textContent"
LINK = "document.querySelector('.secret code')?.textContent"
DONE = "[...document.querySelectorAll('.job .chip')].filter(one => one.textContent === 'Done').length"


async def orders(visitor: Visitor, words: str) -> None:
    await visitor.types("#prompt", words)
    await visitor.page.until(f"/^\\d/.test({PRICE})")
    await visitor.presses("Make it")


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_somebody_signs_in_orders_watches_and_finds_it_again(
    database_url: str, tmp_path: Path, site: Path, size: tuple[int, int]
) -> None:
    async with (
        working(database_url, tmp_path, picture_seconds=2.0, site=site) as service,
        visiting(service, size) as visitor,
        visiting(service, size) as beside,
    ):
        page = visitor.page
        await visitor.comes("/create")
        await visitor.sees("Code from a bot")
        await visitor.signs_in()
        await beside.signs_in()
        await beside.comes("/create")
        await beside.sees("Nothing made yet")
        await visitor.comes("/create")
        await visitor.presses("Draft")
        await orders(visitor, STRANGE)
        await visitor.sees("Running")
        await page.until("!!document.querySelector('img.preview') && document.querySelector('progress').value > 0")
        await beside.sees(STRANGE)
        await visitor.comes("/create")  # a refresh loses neither the draft nor the job
        await page.until(f"document.querySelector('#prompt')?.value === {json.dumps(STRANGE)}")
        await visitor.sees(STRANGE)
        await visitor.sees("Done", 30)
        await page.until("document.querySelector('.job .stage img').naturalWidth > 64")
        await beside.sees("Done")
        await visitor.presses("Vary")
        await page.until(f"{DONE} === 2", 30)
        await visitor.comes("/history")
        await page.until("document.querySelectorAll('.tile img').length === 2")
        await page.evaluate("document.querySelector('.tile').click()")
        await page.until("location.pathname === '/job'")
        await visitor.sees("Given to a machine")
        await visitor.presses("Edit")
        await page.until(f"document.querySelector('#prompt')?.value === {json.dumps(STRANGE)}")
        assert page.complaints == []
        assert beside.page.complaints == []


PASTE = """(async () => {
  const canvas = new OffscreenCanvas(96, 64)
  canvas.getContext("2d").fillRect(0, 0, 96, 64)
  const given = new DataTransfer()
  given.items.add(new File([await canvas.convertToBlob()], "mine.png", { type: "image/png" }))
  const event = HOW === "paste" ? new ClipboardEvent("paste", { clipboardData: given, bubbles: true })
    : new DragEvent("drop", { dataTransfer: given, bubbles: true })
  document.querySelector("#prompt").dispatchEvent(event)
})()"""


@pytest.mark.slow
async def test_a_picture_is_pasted_or_dropped_and_a_film_is_shown_to_others(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service) as visitor:
        page = visitor.page
        await visitor.signs_in()
        await visitor.comes("/create")
        await page.until("!!document.querySelector('#model')?.value")
        await page.evaluate(PASTE.replace("HOW", "'paste'"))
        await visitor.sees("96 × 64")
        await visitor.presses("Remove the picture")
        await page.evaluate(PASTE.replace("HOW", "'drop'"))
        await visitor.sees("Starts from your picture")
        await visitor.presses("Draft")
        await orders(visitor, "in oil")
        await page.until(f"{DONE} === 1", 30)
        await visitor.presses("Film")
        await visitor.presses("Remove the picture")
        await visitor.sees("Length")
        await orders(visitor, "a lighthouse at sea")
        await page.until(f"{DONE} === 2", 30)
        jobs = await users_jobs(visitor)
        assert [(job["kind"], bool(job["input_image"])) for job in jobs] == [("video", False), ("image", True)]
        await visitor.comes(f"/job?id={jobs[0]['id']}")
        await visitor.presses("Share by a link")
        await page.until("!!document.querySelector('.secret code')")
        link = await page.evaluate("document.querySelector('.secret code').textContent")
        async with visiting(service, PHONE) as stranger:
            await stranger.comes(link.removeprefix(service.url))
            await stranger.sees("a lighthouse at sea")
            await stranger.page.until("document.querySelector('video').readyState > 0")
            await visitor.presses("Take it back")
            await visitor.presses("Share by a link")
            await page.until(f"![{json.dumps(link)}, undefined].includes({LINK})")
            await stranger.comes("/pricing")
            await stranger.comes(link.removeprefix(service.url))
            await stranger.sees("Nothing to see")
        assert page.complaints == []


@pytest.mark.slow
async def test_a_picture_is_published_approved_seen_by_strangers_and_withdrawn(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with (
        working(database_url, tmp_path, site=site) as service,
        visiting(service, PHONE) as visitor,
        visiting(service) as stranger,
    ):
        page, shown = visitor.page, "document.querySelectorAll('.gallery img').length"
        await create_key(service.context.database, name="admin", user_id=service.user_id, scopes=SCOPES)
        await visitor.signs_in()
        await visitor.comes("/create")
        await visitor.presses("Draft")
        await orders(visitor, STRANGE)
        await page.until(f"{DONE} === 1", 30)
        [job] = await users_jobs(visitor)
        await visitor.comes(f"/job?id={job['id']}")
        await visitor.presses("Publish in the gallery")
        await visitor.presses("Show its words, too")
        await visitor.presses("Publish")
        await visitor.sees("Waits for the operator")
        assert (await service.get("/api/v1/gallery")).json["data"] == []
        await visitor.comes("/admin")
        await visitor.presses("Approve")
        await visitor.sees("Nothing waits for you.")
        await stranger.comes("/")
        await stranger.page.until(f"{shown} === 1")
        assert await stranger.page.evaluate("document.querySelector('.gallery img').alt") == STRANGE
        await stranger.page.evaluate("document.querySelector('.gallery button').click()")
        await stranger.page.until("document.querySelector('dialog[open] img')?.naturalWidth > 0")
        await stranger.sees(STRANGE)
        await visitor.comes(f"/job?id={job['id']}")
        await visitor.sees("In the gallery")
        await visitor.presses("Withdraw")
        await page.until("!document.body.innerText.includes('In the gallery')")
        assert (await service.get("/api/v1/gallery")).json["data"] == []
        assert page.complaints == stranger.page.complaints == []


@pytest.mark.slow
async def test_a_connection_that_is_lost_during_a_job_costs_nothing(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with (
        working(database_url, tmp_path, picture_seconds=2.0, site=site) as service,
        visiting(service) as visitor,
    ):
        await visitor.signs_in()
        await visitor.comes("/create")
        await orders(visitor, "a lighthouse")
        await visitor.sees("Running")
        await visitor.offline(True)
        async with asyncio.timeout(30):
            while (await users_jobs(visitor))[0]["status"] != "succeeded":
                await asyncio.sleep(0.1)
        await visitor.types("#prompt", "two lighthouses")
        await visitor.presses("Make it")
        await visitor.sees("cannot be reached")
        await visitor.offline(False)
        await visitor.sees("Done", 40)
        await visitor.presses("Make it")
        await visitor.page.until(f"{DONE} === 2", 40)
        assert len(await users_jobs(visitor)) == 2


async def users_jobs(visitor: Visitor) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await visitor.service.as_customer("/api/v1/jobs")).json["data"]
    return found


@pytest.mark.slow
async def test_who_has_no_tokens_is_told_and_who_is_signed_out_comes_back_to_where_they_were(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service) as visitor:
        database = service.context.database
        await visitor.signs_in()
        async with database.connection() as connection:
            await connection.execute("update plans set tokens_per_day = 0")
        service.context.credentials.forget_all()
        await visitor.comes("/create")
        await visitor.types("#prompt", "a lighthouse")
        await visitor.sees("How to get more tokens")
        assert await visitor.page.evaluate("[...document.querySelectorAll('button')].at(-1).disabled")
        async with database.connection() as connection:
            await connection.execute("delete from sessions")
        service.context.credentials.forget_all()
        await visitor.sees("Code from a bot", 30)  # the stream is refused, without anything being done
        await visitor.comes("/account")
        await visitor.sees("Code from a bot")
        assert await visitor.page.evaluate("location.pathname") == "/account"
        await visitor.comes("/signin?error=sign-in-canceled&next=/account")
        await visitor.sees("You stopped at the provider.")
        await visitor.signs_in()
        await visitor.comes("/account")
        await visitor.sees("Where tokens went")


@pytest.mark.slow
async def test_keys_and_webhooks_are_made_shown_once_and_ended(database_url: str, tmp_path: Path, site: Path) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service) as visitor:
        page = visitor.page
        await visitor.signs_in()
        await visitor.comes("/keys")
        await visitor.types("#name", "my program")
        await visitor.presses("Make the key")
        await visitor.sees("never shown again")
        key = await page.evaluate("document.querySelector('.secret code').textContent")
        assert (await service.as_customer("/api/v1/jobs", key=key)).status == 200
        await visitor.presses("I have it")
        assert key not in await page.evaluate("document.documentElement.outerHTML")
        listed = "document.querySelectorAll('.list > li').length"
        await page.until(f"{listed} === 2")  # with the one that the service was made with
        await visitor.presses("End")
        await page.until(f"{listed} === 1")
        await visitor.comes("/webhooks")
        await visitor.types("#url", "https://receiver.invalid/hook")
        await visitor.presses("Add it")
        await visitor.sees("copy it now")
        await visitor.presses("Log")
        await visitor.sees("Nothing was sent yet")
        assert page.complaints == []


PICK = """(() => {
  const select = document.querySelector("select[aria-label=State]")
  Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, "value").set.call(select, "canceled")
  select.dispatchEvent(new Event("change", { bubbles: true }))
})()"""
TILES = "document.querySelectorAll('.tile .words').length"


@pytest.mark.slow
async def test_the_history_goes_on_while_one_scrolls_is_filtered_and_forgets(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with serving(database_url, tmp_path, site=site) as service, visiting(service, PHONE) as visitor:
        for number in range(30):
            await service.order(prompt=f"lighthouse {number}")
        await service.as_customer(f"/api/v1/jobs/{service.jobs[3]}", "DELETE")
        await visitor.signs_in()
        await visitor.comes("/history")
        await visitor.page.until(f"{TILES} >= 24")
        await visitor.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await visitor.page.until(f"{TILES} === 30")
        await visitor.page.evaluate(PICK)
        await visitor.page.until(f"{TILES} === 1")
        await visitor.sees("lighthouse 3")
        await visitor.presses("Delete: lighthouse 3")
        await visitor.sees("Nothing fits")
        erased = (await service.as_customer(f"/api/v1/jobs/{service.jobs[3]}")).json
        assert (erased["status"], erased["prompt"]) == ("canceled", "")
        assert visitor.page.complaints == []

"""Every page as it is shown: to a phone by night and a desk by day, to a screen reader and to a slow machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from control_plane import audit
from control_plane.conduct import gallery
from control_plane.people.credentials import SCOPES, create_key
from tests.fixtures.site import DESKTOP, HOSTS, PHONE, SCRIPTS, visiting
from tests.fixtures.working import working

PUBLIC = {
    "/": "Say what you see",
    "/pricing": "tokens every day",
    "/signin": "Code from a bot",
    "/join": "You are invited",
    "/nowhere": "missing",
}
OWN = {
    "/create": "Shape",
    "/history": "lighthouse",
    "/account": "Where tokens went",
    "/keys": "A new key",
    "/webhooks": "A new endpoint",
    "/admin": "Machines",
    "/setup": "Your account",
}
SCRIPT_BYTES_MAX = 180_000
SHIFT_MAX = 0.01
LARGEST_MILLISECONDS_MAX = 1_000
SLOWED = 4
TRIES = 3
LATER = """window.Date = class extends Date {
  constructor(...given) { super(...(given.length ? given : [Date.now()])) }
  static now() { return super.now() + 3 * 86400000 }
}"""
"""A page is read days after it was built: what stood in it then must not be in the way."""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "dark"), [(PHONE, True), (DESKTOP, False)], ids=["phone", "desktop"])
async def test_no_page_has_a_fault(
    database_url: str, tmp_path: Path, site: Path, size: tuple[int, int], dark: bool
) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service, size, dark=dark) as visitor:
        page, faults = visitor.page, list[object]()
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=LATER)

        async def look(path: str, words: str) -> None:
            await visitor.comes(path)
            await visitor.sees(words)
            seen = await page.evaluate("seen")
            host = service.url.removeprefix("http://")
            faults.extend((path, fault) for fault in await visitor.faults())
            if seen["shift"] > SHIFT_MAX:
                faults.append((path, "shifts", seen))
            if (wide := await page.evaluate("document.documentElement.scrollWidth")) > size[0]:
                faults.append((path, "wider than the window", wide))
            if (weight := await page.evaluate(SCRIPTS)) > SCRIPT_BYTES_MAX:
                faults.append((path, "script", weight))
            if (asked := await page.evaluate(HOSTS)) != [host]:
                faults.append((path, "asked", asked))

        for path, words in PUBLIC.items():
            await look(path, words)
        complaints, page.complaints = page.complaints, []
        assert [one for one in complaints if "404" not in one] == []  # `/nowhere`, which is a 404
        await create_key(service.context.database, name="admin", user_id=service.user_id, scopes=SCOPES)
        await visitor.signs_in()
        await service.order(prompt="a lighthouse", width=128, height=128)
        for path, words in OWN.items():
            await look(path, words)
        await look(f"/job?id={service.jobs[0]}", "How it was made")
        shared = await service.as_customer(f"/api/v1/jobs/{service.jobs[0]}/share", "POST")
        await look(f"/shared#{shared.json['token']}", "Made by AI")
        place = (service.user_id, service.jobs[0], 0)
        database, conduct = service.context.database, service.context.conduct
        await gallery.propose(database, conduct, *place, show_prompt=True)
        await look("/admin", "Approve")
        [proposed], _ = await gallery.page(database, state="proposed", before=None, limit=1)
        await gallery.approve(database, conduct, proposed.id, audit.OPERATOR)
        await page.call("Network.clearBrowserCache")  # what everybody sees is kept for some seconds
        await look("/", "Made here")
        assert faults == []
        assert page.complaints == []


@pytest.mark.slow
async def test_what_one_looks_at_is_there_within_a_second_on_a_machine_four_times_as_slow(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service, PHONE) as visitor:
        page, took = visitor.page, dict[str, list[float]]()

        async def look(path: str, words: str) -> None:
            """With nothing in the cache; what else runs on this machine spoils a try, not three."""
            times = took.setdefault(path, [])
            while len(times) < TRIES and min(times, default=math.inf) > LARGEST_MILLISECONDS_MAX:
                await page.call("Network.clearBrowserCache")
                await visitor.comes(path)
                await visitor.sees(words)
                times.append(await page.until("seen.largest"))

        await service.order(prompt="a lighthouse", width=128, height=128)
        await page.call("Emulation.setCPUThrottlingRate", rate=SLOWED)
        for path in ("/", "/pricing", "/signin"):
            await look(path, PUBLIC[path])
        await visitor.signs_in()
        for path in ("/create", "/history", "/account"):
            await look(path, OWN[path])
        assert {path: times for path, times in took.items() if min(times) > LARGEST_MILLISECONDS_MAX} == {}

"""How somebody takes everything along, and leaves."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.fixtures.site import PHONE, visiting
from tests.fixtures.working import working

ARCHIVE = """(async () => {
  const link = document.querySelector("a[download]")
  const answered = await fetch(link.href)
  const bytes = new Uint8Array(await answered.arrayBuffer())
  return [answered.status, String.fromCharCode(bytes[0], bytes[1]), bytes.length > 500].join(" ")
})()"""
BUTTON = "[...document.querySelectorAll('dialog button')].find(one => one.textContent === 'Delete for good')"


@pytest.mark.slow
async def test_whoever_types_their_name_is_gone_and_nobody_goes_by_mistake(
    database_url: str, owner_url: str, tmp_path: Path, site: Path
) -> None:
    async with working(database_url, tmp_path, site=site) as service, visiting(service, PHONE) as visitor:
        page = visitor.page
        await visitor.signs_in()
        await visitor.comes("/account")
        await visitor.sees("Your data")
        assert await page.evaluate(ARCHIVE) == "200 PK true"
        name = await page.evaluate("(async () => (await (await fetch('/api/v1/user/me')).json()).name)()")
        await visitor.presses("Delete account…")
        await visitor.sees("Type")
        assert await page.evaluate(f"{BUTTON}.disabled") is True
        await visitor.types("#leaving", "somebody else")
        assert await page.evaluate(f"{BUTTON}.disabled") is True
        assert await visitor.faults() == []
        await visitor.types("#leaving", name)
        await page.until(f"!{BUTTON}.disabled")
        await visitor.presses("Delete for good")
        await visitor.sees("Goodbye")
        with psycopg.connect(owner_url) as connection:
            found = connection.execute("select count(*) from users where name = %s", (name,)).fetchone()
        assert found == (0,)
        await visitor.comes("/account")
        await visitor.sees("Sign in")

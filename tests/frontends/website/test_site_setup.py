"""The first run in a browser, from the printed link to a picture of one's own machine; and the way in by an invite."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.enrolment import enroll
from control_plane import audit
from control_plane.cli import first_start
from control_plane.money import payments
from control_plane.people import invites
from control_plane.people.credentials import SCOPES, create_key
from control_plane.wire.payment import PaymentRequest
from tests.fixtures.site import PHONE, visiting
from tests.fixtures.telegram_login import BOT_TOKEN, SUBJECT
from tests.fixtures.telegram_login import telegram as telegram
from tests.fixtures.worker import Hands, serving
from tests.fixtures.working import staffing

pytestmark = pytest.mark.slow

SECRETS = "[...document.querySelectorAll('.secret code')].map(one => one.textContent)"


async def test_an_operator_comes_by_the_link_leaves_comes_back_and_sees_the_first_picture(
    database_url: str, tmp_path: Path, site: Path
) -> None:
    async with serving(database_url, tmp_path / "plane", site=site) as service, visiting(service, PHONE) as visitor:
        page, database, faults = visitor.page, service.context.database, list[str]()
        await create_key(database, name="admin", user_id=service.user_id, scopes=SCOPES)
        path = await first_start.open_setup(database, service.context.settings)
        assert path is not None
        await visitor.comes(path)
        await page.evaluate("document.querySelector('form').requestSubmit()")
        await page.until("location.pathname === '/setup' && document.readyState === 'complete'")
        await visitor.presses("Does it answer?")
        await visitor.sees("leads here.")
        faults += await visitor.faults()
        await visitor.presses("Put it off")
        await visitor.presses("Make the line")
        await visitor.sees("Waiting for the machine")
        token = re.search(r"tse_[0-9a-z]+_[0-9a-f]+", " ".join(await page.evaluate(SECRETS)))
        assert token is not None
        await visitor.presses("Leave, and go on later")
        await page.until("location.pathname === '/admin'")
        await visitor.sees("1 of 5 steps are done.")
        await visitor.presses("Go on")
        await visitor.sees("Waiting for the machine")
        assert await page.evaluate(SECRETS) == [], "a token is shown once"

        credential = await enroll(service.url, token[0], "den")
        service.hands = Hands(service.session, service.url, credential.worker_id, credential.secret)
        await visitor.sees("den has enrolled")
        async with staffing(service, tmp_path / "agent"):
            await page.until("!!document.querySelector('.lamp i.green')", 30)
            await page.until("document.querySelector('.job.first img')?.naturalWidth > 64", 30)
            await visitor.sees("Drawn by den")
            faults += await visitor.faults()
            await visitor.presses("Next: Bots")
            await visitor.sees("tessera-bots setup")
            await visitor.presses("Put it off")
            await visitor.sees("tessera backup")
            faults += await visitor.faults()
            await visitor.presses("Finish")
            await visitor.sees("The setup is finished.")
            await visitor.presses("More")
            await visitor.presses("Admin")
            await page.until("location.pathname === '/admin'")
            await visitor.presses("Drain")
            await page.until("/drain(ing|ed)/.test(document.querySelector('main').innerText)")
            await visitor.presses("Resume")
            await visitor.sees("idle")
        await visitor.presses("Check the books")
        await visitor.sees("They agree")
        assert faults == []
        assert page.complaints == []
        assert await first_start.open_setup(database, service.context.settings) is None


async def test_somebody_new_comes_in_by_an_invite_link_and_sees_what_to_do_for_more(
    database_url: str, tmp_path: Path, site: Path, telegram: str
) -> None:
    settings = {"telegram_login_token": BOT_TOKEN, "telegram_login_url": telegram, "signup": "invite"}
    async with (
        serving(database_url, tmp_path / "plane", site=site, **settings) as service,
        visiting(service) as visitor,
    ):
        page, database = visitor.page, service.context.database
        made = await invites.create(database, tokens=7)
        await visitor.comes(f"/join?code={made.code}")
        await visitor.sees("You are invited")
        await page.until("location.search === ''")
        faults = await visitor.faults()
        await visitor.presses("Continue with Telegram")
        await page.until("location.pathname === '/signin' && document.readyState === 'complete'")
        await visitor.sees("One thing more")
        await page.until(f"document.querySelector('#invite')?.value === {json.dumps(made.code)}")
        faults += await visitor.faults()
        await visitor.types("#invite", "0000-0000-0000-0000")
        await visitor.presses("Come in")
        await visitor.sees("This code is wrong")
        complaints, page.complaints = page.complaints, []
        assert [one for one in complaints if "422" not in one] == []
        await visitor.types("#invite", made.code)
        await visitor.presses("Come in")
        await page.until("location.pathname === '/create'")

        async with database.connection() as connection:
            cursor = await connection.execute("select user_id from identities where subject = %s", (str(SUBJECT),))
            [(user_id,)] = await cursor.fetchall()
        paid = {"provider": "telegram_stars", "provider_id": "1", "pack": "small", "amount": 150, "currency": "XTR"}
        await payments.credit(database, user_id, PaymentRequest(**paid), None, audit.OPERATOR)  # type: ignore[arg-type]
        await visitor.comes("/account")
        await visitor.sees("150 Stars for 500 tokens")
        await visitor.sees("send /buy to our bot on Telegram")
        await visitor.sees(str(user_id))
        await payments.refund(database, "telegram_stars", "1", "asked for", audit.OPERATOR)
        await visitor.comes("/create")
        await visitor.comes("/account")
        await visitor.sees("given back")
        faults += await visitor.faults()
        assert faults == []
        assert page.complaints == []

"""What cannot be undone by looking away: each button that decides about people, machines, pictures and sessions does in
the database what it says, asks before it ends something, and does nothing when the answer is no."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from control_plane import audit
from control_plane.conduct import gallery
from control_plane.people import users
from control_plane.people.credentials import SCOPES, create_key
from tests.fixtures.receiver import Receiver
from tests.fixtures.receiver import receiver as receiver
from tests.fixtures.site import PHONE, Visitor, visiting
from tests.fixtures.webhooks import LOCAL
from tests.fixtures.worker import Json, Service, serving

pytestmark = pytest.mark.slow

Look = Callable[..., list[tuple[Any, ...]]]

PICKS = """(() => {
  const select = document.querySelector(SELECTOR)
  Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, "value").set.call(select, VALUE)
  select.dispatchEvent(new Event("change", { bubbles: true }))
})()"""
TWICE = """(() => {
  const form = document.querySelector("dialog[open] form")
  form.requestSubmit()
  form.requestSubmit()
})()"""
SENT = """window.sent = []
  const real = window.fetch
  window.fetch = (url, options) => {
    if (!["GET", "HEAD"].includes(options?.method ?? "GET")) sent.push(options.method)
    return real(url, options)
  }"""
TURN = "new Promise(done => setTimeout(done, 0))"
"""What a press sends is sent by then."""
PAGE_LENGTH = 24


@pytest.fixture
def look(owner_url: str) -> Look:
    def looked(statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(owner_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    return looked


async def picks(visitor: Visitor, selector: str, value: str) -> None:
    script = PICKS.replace("SELECTOR", json.dumps(selector)).replace("VALUE", json.dumps(value))
    await visitor.page.until(f"!!document.querySelector({json.dumps(selector)})")
    await visitor.page.evaluate(script)


async def operating(service: Service, visitor: Visitor) -> None:
    await create_key(service.context.database, name="admin", user_id=service.user_id, scopes=SCOPES)
    await visitor.signs_in()
    await visitor.comes("/admin")


async def proposed(service: Service) -> Json:
    """A picture that waits for the operator."""
    job = await service.done()
    place = (service.user_id, job["id"], 0)
    await gallery.propose(service.context.database, service.context.conduct, *place, show_prompt=False)
    return job


async def test_an_operator_gives_tokens_changes_a_plan_shuts_somebody_out_and_takes_it_back(
    database_url: str, tmp_path: Path, site: Path, look: Look
) -> None:
    async with serving(database_url, tmp_path, site=site) as service, visiting(service, PHONE) as visitor:
        page, database = visitor.page, service.context.database
        eve = await users.create(database, "eve")
        hers = await create_key(database, name="hers", user_id=eve, scopes=("read", "submit"))
        body = {"prompt": "a lighthouse"}
        headers = {"Authorization": f"Bearer {hers.key}"}
        async with service.session.post(f"{service.url}/api/v1/jobs", json=body, headers=headers) as ordered:
            job_id = (await ordered.json())["id"]
        await operating(service, visitor)
        await visitor.types("#who", "eve")
        await visitor.presses("Find")
        await visitor.sees("no linked identity")
        await visitor.types("#amount", "250")
        await visitor.types("#reason", "for the wait")
        await visitor.presses("Give")
        await visitor.page.until("document.body.innerText.includes('that do not expire')")
        given = look("select amount, reason from ledger_transfers where user_id = %s and kind = 'grant'", eve)
        assert given == [(250, "for the wait")]
        await picks(visitor, "#plan", "pro")
        await visitor.page.until("document.querySelector('.card .chip.cap')?.textContent === 'pro'")
        assert look("select plan, paid_until from users where id = %s", eve) == [("pro", None)]

        await visitor.presses("Suspend")
        await visitor.types("#suspend-reason", "spam")
        faults = await visitor.faults()
        await visitor.presses("Shut them out")
        await visitor.presses("Restore")
        await visitor.presses("Suspend")
        await visitor.presses("Cancel")
        assert page.asked == []
        told = "select verb, detail ->> 'reason' from audit_log where object_id = %s order by id"
        assert look(told, str(eve))[-2:] == [("suspend", "spam"), ("restore", None)]
        assert look("select state from jobs where id = %s", job_id) == [("canceled",)]
        assert look("select status from users where id = %s", eve) == [("active",)]
        assert faults == []
        assert page.complaints == []


async def test_a_machine_is_revoked_once_that_was_confirmed_and_one_in_quarantine_works_again(
    database_url: str, owner_url: str, tmp_path: Path, site: Path, look: Look
) -> None:
    async with serving(database_url, tmp_path, site=site) as service, visiting(service) as visitor:
        worker_id = service.hands.worker_id
        assert await service.hands.claim() == []
        with psycopg.connect(owner_url) as connection:
            connection.execute("update slots set quarantined_at = now() where worker_id = %s", [worker_id])
        await operating(service, visitor)
        await visitor.sees("quarantined")
        await visitor.presses("Resume")
        await visitor.page.until("!document.querySelector('main').innerText.includes('quarantined')")
        assert look("select quarantined_at from slots where worker_id = %s", worker_id) == [(None,)]
        revoked = "select revoked_at is not null from workers where id = %s"
        visitor.page.agrees = False
        await visitor.page.evaluate(SENT)
        await visitor.presses("Revoke")
        await visitor.page.evaluate(TURN)
        assert (len(visitor.page.asked), await visitor.page.evaluate("sent")) == (1, [])
        assert "End the rights of bench for ever?" in visitor.page.asked[0]
        visitor.page.agrees = True
        await visitor.presses("Revoke")
        await visitor.sees("No machine yet")
        assert (look(revoked, worker_id), await visitor.page.evaluate("sent")) == ([(True,)], ["POST"])
        assert (await service.hands.call("/claim", {})).status == 401
        assert visitor.page.complaints == []


async def test_a_picture_is_refused_for_a_reason_that_its_owner_reads_and_long_lists_go_on(
    database_url: str, tmp_path: Path, site: Path, look: Look
) -> None:
    async with serving(database_url, tmp_path, site=site) as service, visiting(service, PHONE) as visitor:
        database, conduct = service.context.database, service.context.conduct
        for _ in range(PAGE_LENGTH + 2):
            await proposed(service)
            [one], _more = await gallery.page(database, state="proposed", before=None, limit=1)
            await gallery.approve(database, conduct, one.id, audit.OPERATOR)
        job = await proposed(service)
        await operating(service, visitor)
        await visitor.presses("Refuse")
        await visitor.types("#refuse-reason", "too dark")
        await visitor.presses("Refuse it")
        await visitor.sees("Nothing waits for you.")
        state = "select state, reason from publications where job_id = %s"
        assert look(state, job["id"]) == [("refused", "too dark")]
        await picks(visitor, "select[aria-label='Which of them']", "approved")
        shown = "document.querySelectorAll('.proposed > li').length"
        await visitor.page.until(f"{shown} === {PAGE_LENGTH}")
        await visitor.presses("Show more")
        await visitor.page.until(f"{shown} === {PAGE_LENGTH + 2}")
        await visitor.comes(f"/job?id={job['id']}")
        await visitor.sees("The operator says: too dark")
        assert visitor.page.complaints == []


async def test_something_is_reported_once_however_often_it_is_sent(
    database_url: str, tmp_path: Path, site: Path, look: Look
) -> None:
    async with serving(database_url, tmp_path, site=site) as service, visiting(service) as visitor:
        job = await service.done()
        await visitor.signs_in()
        await visitor.comes(f"/job?id={job['id']}")
        await visitor.presses("Report")
        await picks(visitor, "#category", "person")
        await visitor.types("#report-text", "that is me")
        assert await visitor.faults() == []
        await visitor.offline(True)
        await visitor.page.evaluate(TWICE)
        await visitor.page.until("document.querySelector('dialog[open] [role=alert]')?.textContent")
        await visitor.offline(False)
        complaints, visitor.page.complaints = visitor.page.complaints, []
        assert [one for one in complaints if "ERR_INTERNET_DISCONNECTED" not in one] == []
        await visitor.page.evaluate(TWICE)
        await visitor.page.until("!document.querySelector('dialog[open]')")
        assert look("select category, text, state from reports") == [("person", "that is me", "open")]
        assert visitor.page.complaints == []


async def test_what_a_receiver_got_is_sent_again(
    database_url: str, tmp_path: Path, site: Path, receiver: Receiver, look: Look
) -> None:
    async with (
        serving(database_url, tmp_path, site=site, webhook_networks=LOCAL) as service,
        visiting(service) as visitor,
    ):
        await visitor.signs_in()
        await visitor.comes("/webhooks")
        await visitor.types("#url", receiver.url)
        await visitor.presses("Add it")
        await visitor.presses("I have it")
        await visitor.presses("Test")
        await receiver.after(1)
        await visitor.presses("Log")
        await visitor.sees("delivered")
        await visitor.presses("Send again")
        first, again = await receiver.after(2)
        assert (first.id, first.body) == (again.id, again.body)
        assert look("select count(*) from webhook_deliveries") == [(1,)]
        assert visitor.page.complaints == []


async def test_somebody_is_signed_out_everywhere_once_they_said_yes(
    database_url: str, tmp_path: Path, site: Path, look: Look
) -> None:
    async with (
        serving(database_url, tmp_path, site=site) as service,
        visiting(service, PHONE) as visitor,
        visiting(service) as beside,
    ):
        await visitor.signs_in()
        await beside.signs_in()
        await beside.comes("/history")
        await visitor.comes("/account")
        visitor.page.agrees = False
        await visitor.page.evaluate(SENT)
        await visitor.presses("Sign out everywhere")
        await visitor.page.evaluate(TURN)
        assert await visitor.page.evaluate("sent") == []
        assert look("select count(*) from sessions where expires_at > now()") == [(2,)]
        visitor.page.agrees = True
        await visitor.presses("Sign out everywhere")
        await visitor.sees("Code from a bot")
        assert await visitor.page.evaluate("sent") == ["DELETE"]
        assert visitor.page.asked == ["Sign out in every browser, this one too?"] * 2
        assert look("select count(*) from sessions where expires_at > now()") == [(0,)]
        await beside.comes("/account")
        await beside.sees("Code from a bot")

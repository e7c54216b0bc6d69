"""Signing in with a real browser, by plain HTTP and a name that only a household knows: there browsers say least.

They send no `Sec-Fetch-Site` to such addresses, and `Origin: null` with forms of pages that give no referrer.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import web

from control_plane import audit
from control_plane.context import Context
from control_plane.people import sessions, users
from control_plane.signin.telegram import signature
from tests.fixtures.browsers import tell
from tests.fixtures.chromium import tab
from tests.fixtures.worker import running

BOT_TOKEN = "123456:ABCDEF-ghijkl_mnopqrstuvwxyz012345"
SUBJECT = 987654321
NAMES = "--host-resolver-rules=MAP den.lan 127.0.0.1"
WHO = "fetch('/api/v1/session').then((answer) => answer.json()).then((who) => who.user ? who.user.name : '')"

pytestmark = pytest.mark.slow


@pytest.fixture
async def telegram() -> AsyncIterator[str]:
    """Where Telegram would be: whoever comes is signed in there, and goes back with the proof behind the #."""

    async def signs(request: web.Request) -> web.Response:
        told: dict[str, str | int] = {"id": SUBJECT, "first_name": "Ädä", "auth_date": int(time.time())}
        proof = msgspec.json.encode({**told, "hash": signature(BOT_TOKEN, told)})
        result = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        return web.Response(status=302, headers={"Location": f"{request.query['return_to']}#tgAuthResult={result}"})

    app = web.Application()
    app.router.add_get("/auth", signs)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture
async def context(database_url: str, tmp_path: Path, telegram: str) -> AsyncIterator[Context]:
    settings = {"telegram_login_token": BOT_TOKEN, "telegram_login_url": telegram}
    async with running(database_url, tmp_path, **settings) as context:
        yield context


def at_home(context: Context) -> str:
    return f"http://den.lan:{urlsplit(context.settings.base_url).port}"


async def test_the_button_of_a_link_signs_in(context: Context) -> None:
    ada = await users.create(context.database, "ada")
    made = await sessions.make_link(context.database, ada, audit.OPERATOR)
    async with tab(f"{at_home(context)}/auth/link/{made.token}", 1200, 800, NAMES) as page:
        await page.until("document.querySelector('button')?.textContent === 'Sign in as ada'")
        await page.evaluate("document.querySelector('button').click()")
        await page.until("location.pathname === '/' && document.readyState === 'complete'")
        assert await page.evaluate(WHO) == "ada"
        assert await page.evaluate("document.cookie") == "", "no script reads it"
    assert await tell(context, "select way, device from sessions") == [("link", "Chrome on Linux")]


async def test_the_page_to_which_telegram_sends_back_hands_its_proof_on(context: Context) -> None:
    async with tab(f"{at_home(context)}/auth/telegram/start?next=/docs", 1200, 800, NAMES) as page:
        await page.until("location.pathname === '/docs' && document.readyState === 'complete'")
        assert page.complaints == []
    who = "select u.name, s.way from sessions s join users u on u.id = s.user_id"
    assert await tell(context, who) == [(f"telegram:{SUBJECT}", "telegram")]

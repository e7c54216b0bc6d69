"""Signing in with a real browser, by plain HTTP and a name that only a household knows: there browsers say least.

They send no `Sec-Fetch-Site` to such addresses, and `Origin: null` with forms of pages that give no referrer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from control_plane import audit
from control_plane.context import Context
from control_plane.people import sessions, users
from tests.fixtures.browsers import tell
from tests.fixtures.chromium import tab
from tests.fixtures.telegram_login import BOT_TOKEN, SUBJECT
from tests.fixtures.telegram_login import telegram as telegram
from tests.fixtures.worker import running

NAMES = "--host-resolver-rules=MAP den.lan 127.0.0.1"
WHO = "fetch('/api/v1/session').then((answer) => answer.json()).then((who) => who.user ? who.user.name : '')"

pytestmark = pytest.mark.slow


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

"""Pages of other web sites: nobody's business, unless a key lists them; by real requests, and in a real browser."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web

from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import Answered, free_port, serving

SITE, OTHER = "https://app.example", "https://evil.example"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_SECONDS = 60.0
ORDER = {"prompt": "x", "width": 64, "height": 64, "steps": 1}

PAGE = """<!doctype html><title>waiting</title><pre id=out>waiting</pre><script>
(async () => {
  const told = {}
  const headers = {"Authorization": "Bearer KEY", "Content-Type": "application/json", "Idempotency-Key": "page"}
  const order = {method: "POST", headers, body: JSON.stringify({prompt: "x", width: 64, height: 64, steps: 1})}
  try {
    const made = await fetch("URL/api/v1/jobs", order)
    told.status = made.status
    told.location = made.headers.get("Location") !== null
    told.rate = made.headers.get("RateLimit") !== null
    const again = await fetch("URL/api/v1/jobs", order)
    told.replayed = again.headers.get("Idempotent-Replayed")
    const wrong = await fetch("URL/api/v1/jobs/00000000-0000-0000-0000-000000000000", {headers})
    told.problem = (await wrong.json()).code
    const models = await fetch("URL/api/v1/models", {headers})
    told.models = (await models.json()).data.length > 0
  } catch (error) { told.refused = String(error) }
  document.getElementById("out").textContent = "told:" + JSON.stringify(told) + ":end"
})()
</script>"""


async def listing(plane: Plane, *origins: str) -> str:
    """A key that lists these sites, announced to everybody as one made over HTTP is."""
    maker = await plane.user_key(["read", "submit", "keys"])
    made = await plane.call("POST", f"{API}/api-keys", maker, {"name": "page", "origins": list(origins)})
    assert made.status == 201, made.body
    return str(made.json["key"])


async def preflight(
    plane: Plane, origin: str | None, path: str = f"{API}/jobs", method: str | None = "POST"
) -> Answered:
    sent = {"Access-Control-Request-Headers": "authorization,content-type,idempotency-key"}
    if origin is not None:
        sent["Origin"] = origin
    if method is not None:
        sent["Access-Control-Request-Method"] = method
    return await plane.call("OPTIONS", path, headers=sent)


def cors(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith("access-control-")}


async def test_while_no_key_lists_a_site_no_page_may_anything(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    assert cors((await preflight(control_plane, SITE)).headers) == {}
    answered = await control_plane.call("GET", f"{API}/user/me", key, headers={"Origin": SITE})
    assert answered.status == 200
    assert cors(answered.headers) == {}
    assert "Vary" not in answered.headers


async def test_a_preflight_is_let_in_for_the_sites_of_live_keys_only(control_plane: Plane) -> None:
    await listing(control_plane, SITE)
    asked = await preflight(control_plane, SITE)
    assert (asked.status, asked.body) == (204, b"")
    assert asked.headers["Vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    allowed = cors(asked.headers)
    assert allowed.pop("access-control-allow-origin") == SITE
    assert {"POST", "DELETE"} <= set(allowed.pop("access-control-allow-methods").split(", "))
    assert {"Authorization", "Idempotency-Key"} <= set(allowed.pop("access-control-allow-headers").split(", "))
    assert int(allowed.pop("access-control-max-age")) <= 600
    assert allowed == {}, "no credentials mode, and nothing else"
    near = (
        OTHER,
        SITE + ":8443",
        SITE + "/",
        SITE.upper(),
        "http://app.example",
        SITE + ".evil.example",
        "null",
        "*",
        None,
    )
    for origin in near:
        assert cors((await preflight(control_plane, origin)).headers) == {}, origin
    for path in (f"{API}/worker/claim", f"{API}/admin/users/x/suspend", "/metrics", "/docs"):
        assert cors((await preflight(control_plane, SITE, path)).headers) == {}, path
    assert cors((await preflight(control_plane, SITE, method=None)).headers) == {}


async def test_an_answer_may_be_read_by_the_sites_of_its_own_key(control_plane: Plane) -> None:
    mine, theirs = await listing(control_plane, SITE), await listing(control_plane, OTHER)
    plain = await control_plane.user_key()
    for key, origin, reads in ((mine, SITE, True), (mine, OTHER, False), (theirs, SITE, False), (plain, SITE, False)):
        for method, path, body, status in (
            ("GET", f"{API}/user/me", None, 200),
            ("POST", f"{API}/jobs", ORDER, 201),
            ("GET", f"{API}/jobs/00000000-0000-0000-0000-000000000000", None, 404),
            ("POST", f"{API}/jobs", {"colour": "red"}, 422),
            ("GET", f"{API}/models", None, 200),
        ):
            answered = await control_plane.call(method, path, key, body, headers={"Origin": origin})
            assert answered.status == status, answered.body
            told = cors(answered.headers)
            assert (told.get("access-control-allow-origin") == origin) is reads, (path, origin)
            assert "access-control-allow-credentials" not in told
            assert "Vary" in answered.headers or key is plain
            if reads:
                exposed = told["access-control-expose-headers"].split(", ")
                assert {"Location", "RateLimit", "Retry-After", "Idempotent-Replayed", "ETag", "X-Request-Id"} <= set(
                    exposed
                )
            else:
                assert told == {}
    assert cors((await control_plane.call("GET", f"{API}/models", headers={"Origin": SITE})).headers) == {}
    assert cors((await control_plane.call("GET", f"{API}/models", "tsk_x", headers={"Origin": SITE})).headers) == {}


async def test_another_process_hears_of_a_new_site_and_of_the_end_of_its_key(
    control_plane: Plane, database_url: str, tmp_path: Path
) -> None:
    asking = {"Origin": SITE, "Access-Control-Request-Method": "GET"}
    async with serving(database_url, tmp_path / "other") as other:
        assert cors((await other.get(f"{API}/user/me", "OPTIONS", **asking)).headers) == {}
        maker = await control_plane.user_key(["keys"])
        made = await control_plane.call(
            "POST", f"{API}/api-keys", maker, {"name": "page", "scopes": ["keys"], "origins": [SITE]}
        )
        await eventually(
            lambda: other.get(f"{API}/user/me", "OPTIONS", **asking), lambda answered: bool(cors(answered.headers))
        )
        await control_plane.call("DELETE", f"{API}/api-keys/{made.json['id']}", maker)
        await eventually(
            lambda: other.get(f"{API}/user/me", "OPTIONS", **asking), lambda answered: not cors(answered.headers)
        )


@pytest.mark.slow
async def test_a_page_in_a_real_browser_orders_and_one_that_is_not_listed_is_kept_out(control_plane: Plane) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("there is no Chromium on this machine")
    listed, strange = free_port(), free_port()
    key = await listing(control_plane, f"http://localhost:{listed}")
    page = PAGE.replace("KEY", key).replace("URL", control_plane.url)
    told = await _shown(browser, page, listed)
    assert told == '{"status":201,"location":true,"rate":true,"replayed":"true","problem":"not-found","models":true}'
    refused = await _shown(browser, page, strange)
    assert refused == '{"refused":"TypeError: Failed to fetch"}'


async def _shown(browser: str, page: str, port: int) -> str:
    """What a page at http://localhost:`port` has to tell, once its script is through."""

    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", port).start()
    try:
        with tempfile.TemporaryDirectory() as profile:
            process = await asyncio.create_subprocess_exec(
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *(
                    f"--user-data-dir={profile}",
                    "--virtual-time-budget=15000",
                    "--dump-dom",
                    f"http://localhost:{port}/",
                ),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(BROWSER_SECONDS):
                    output, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    finally:
        await runner.cleanup()
    return output.decode().partition("told:")[2].partition(":end")[0]

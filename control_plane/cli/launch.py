"""`tessera check --launch`: everything that must be so before strangers are let in, done once on the running service.

A temporary user orders by HTTP as anybody would, and is erased at the end with all that was made. What must not cost a
GPU anything goes by a test key: refusals are those of the real admission, the injected failure is the sandbox's.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiohttp
import msgspec

from control_plane import audit
from control_plane.care import departures
from control_plane.conduct import policy
from control_plane.errors import RateLimited, TesseraError
from control_plane.money import ledger
from control_plane.operator.tables import ATTEMPTS, LANES, LaneRow
from control_plane.people import credentials, keys, users
from control_plane.settings import ConfigurationError
from control_plane.store import open_store
from control_plane.watch import bots, certificate, checkup
from control_plane.watch.facts import HOUSE
from control_plane.watch.overview import look
from control_plane.watch.troubles import certificate_trouble

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.settings import Settings

REQUEST_SECONDS = 20.0
PICTURE_SECONDS = 600.0
BEAT_SECONDS = 0.5
ROUNDS = 3
"""Idle workers get one job each in one round; busy ones may need another."""
ORDERS_MAX, ORDERS_AT_ONCE = 1_500, 25
"""More than a test key may place in a minute, also while the rate grows again; and fewer than may stand in line."""
TOKENS = 1_000_000
ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})
PROMPT = "a lighthouse on a hill"
FORBIDDEN_STATUS = 422


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    well: bool
    found: str
    cure: str = ""


class Failed(Exception):
    """What was found instead; `cure` says what to do."""

    def __init__(self, found: str, cure: str) -> None:
        super().__init__(found)
        self.cure = cure


class Guest:
    """The temporary user, by HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session, self._url = session, url
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any, dict[str, str]]:
        url = path if path.startswith("http") else f"{self._url}{path}"
        async with asyncio.timeout(REQUEST_SECONDS):
            async with self._session.request(method, url, json=body, headers=self._headers) as answer:
                is_json = "json" in answer.content_type
                return answer.status, await (answer.json() if is_json else answer.read()), dict(answer.headers)

    async def order(self, **wishes: object) -> tuple[int, Any, dict[str, str]]:
        return await self.call("POST", "/api/v1/jobs", {"prompt": PROMPT, **wishes})

    async def ordered(self, **wishes: object) -> Any:
        status, job, _ = await self.order(**wishes)
        if status != 201:
            raise Failed(
                f"an order was answered with {status}: {job.get('detail')}", "Read the sentence; `tessera check`."
            )
        return job

    async def ended(self, job: Any) -> Any:
        try:
            async with asyncio.timeout(PICTURE_SECONDS):
                while job["status"] not in ENDED:
                    await asyncio.sleep(BEAT_SECONDS)
                    _, job, _ = await self.call("GET", f"/api/v1/jobs/{job['id']}")
        except TimeoutError:
            raise Failed(f"job {job['id']} is not over after {PICTURE_SECONDS:g} s", "tessera job why ID") from None
        return job


class Launch:
    def __init__(self, database: Database, settings: Settings, url: str) -> None:
        self._database, self._settings, self._url = database, settings, url

    async def ticks(self) -> AsyncIterator[Tick]:
        yield await _tick("database", self._in_database, 'See ops/docs/runbook.md, "The database is down".')
        yield await _tick("health", self._health, "Start it: `tessera up`, or `systemctl start tessera@8000`.")
        async with self._guests() as (guest, tester, poor):
            yield await _tick(
                "submit", lambda: _submit(tester), "Is this the address of the service? TESSERA_PUBLIC_URL"
            )
            yield await _tick("picture", lambda: self._picture(guest), "tessera worker list; tessera-agent doctor")
            yield await _tick("workers", lambda: self._canaries(guest), "On that machine: tessera-agent doctor")
            yield await _tick("402", lambda: _refused(poor, 402), "Report this: tokens that are not there were spent.")
            yield await _tick("failure", lambda: _failure(tester), "Is TESSERA_SANDBOX on in some process?")
            yield await _tick("429", lambda: _flood(tester), "Report this: more was taken than the plan allows.")
        yield await _tick("policy", self._policy, "Mend the file that TESSERA_POLICY names.")
        yield await _tick("bots", self._bots, 'See ops/docs/runbook.md, "A bot does not answer".')
        yield await _tick(
            "backup", self._backup, "Set TESSERA_BACKUP_URL, then `tessera backup`: it restores on trial."
        )
        yield await _tick("tls", self._tls, "Set TESSERA_PUBLIC_URL to an https address, with a proxy in front.")

    @asynccontextmanager
    async def _guests(self) -> AsyncIterator[tuple[Guest, Guest, Guest]]:
        """Somebody with tokens, the same with a test key, and somebody without; all of them gone afterwards."""
        made: list[UUID] = []
        try:
            async with aiohttp.ClientSession(trust_env=False) as session:
                guests = [Guest(session, self._url, key) for key in await self._keys(made)]
                yield guests[0], guests[1], guests[2]
        finally:
            store = open_store(self._settings)
            for user_id in made:
                household = await departures.depart(self._database, user_id, audit.OPERATOR)
                await departures.stop(self._database, household)
                await departures.proceed(self._database, store, user_id)

    async def _keys(self, made: list[UUID]) -> list[str]:
        for name, tokens in (("launch-guest", TOKENS), ("launch-poor", -TOKENS)):
            user_id = await users.create(self._database, f"{name}-{secrets.token_hex(6)}", "pro", audit.OPERATOR)
            made.append(user_id)
            await ledger.adjust(self._database, user_id, tokens, "launch check", audit.OPERATOR)
        told = []
        for owner in (made[0], await keys.twin_of(self._database, made[0]), made[1]):
            scopes: Sequence[credentials.Scope] = ("read", "submit")
            key = await credentials.create_key(self._database, name="launch check", user_id=owner, scopes=scopes)
            told.append(key.key)
        return told

    async def _in_database(self) -> str:
        house = await self._database.one(HOUSE)
        assert house is not None, "it always has a row"
        if house.ledger_violations:
            raise Failed(f"{house.ledger_violations} disagreements in the books", "tessera ledger check")
        return "answers, and has the schema of this Tessera"

    async def _health(self) -> str:
        async with aiohttp.ClientSession(trust_env=False) as session:
            for path in ("/healthz", "/readyz"):
                status, said, _ = await Guest(session, self._url, "none").call("GET", path)
                if status != 200:
                    raise Failed(f"{path} answers {status}: {said.get('detail')}", "Read the sentence.")
        found = await look(self._database, self._settings)
        if not any(machine.condition in ("idle", "busy") for machine in found.machines):
            raise Failed("no machine is there", "On one of them: tessera-agent run")
        for check in await checkup.of_machine(self._settings):
            if check.result == "bad":
                raise Failed(f"{check.name}: {check.found}", check.cure)
        return "service, machines, files and disk are well"

    async def _lanes(self) -> list[LaneRow]:
        found = await self._database.many(LANES, {"live_seconds": self._settings.lease_seconds})
        return [
            lane for lane in found if lane.kind == "image" and lane.live_slots and lane.task in ("", "text-to-image")
        ]

    async def _picture(self, guest: Guest) -> str:
        lanes = await self._lanes()
        if not lanes:
            raise Failed("no machine that is there makes pictures", "Enrol one: tessera worker enroll-token")
        job = await guest.ended(await guest.ordered(kind="image", model=lanes[0].model))
        if job["status"] != "succeeded":
            raise Failed(f"job {job['id']} ended as {job['status']}", "See the runbook, `Runs fail`.")
        [artifact, *_] = job["artifacts"]
        status, data, _ = await guest.call("GET", artifact["url"])
        if status != 200 or hashlib.sha256(data).hexdigest() != artifact["sha256"]:
            raise Failed("the picture that came is not the one that was made", "Look at the store: tessera check")
        return f"{lanes[0].model}, {len(data)} bytes, with the hash that was promised"

    async def _canaries(self, guest: Guest) -> str:
        """One job for each slot at once, so that every worker that is idle gets one."""
        listed = (await look(self._database, self._settings)).machines
        missing = {machine.name for machine in listed if machine.condition in ("idle", "busy")}
        for lane in [lane for _ in range(ROUNDS) for lane in await self._lanes()]:
            if not missing:
                break
            jobs = [await guest.ordered(kind="image", model=lane.model) for _ in range(lane.live_slots)]
            for job in [await guest.ended(job) for job in jobs]:
                attempts = await self._database.many(ATTEMPTS, {"job_id": job["id"]})
                missing -= {one.worker for one in attempts if one.outcome == "succeeded"}
        if missing:
            raise Failed(f"nothing came from {', '.join(sorted(missing))}", "On that machine: tessera-agent doctor")
        return "each has made a picture"

    async def _policy(self) -> str:
        policy.read(self._settings.policy)
        return str(self._settings.policy or "the one that comes with Tessera")

    async def _bots(self) -> str:
        found = await bots.look(bots.address(self._settings))
        away = [f"{bot.name}: {bot.why}" for bot in found or () if not bot.ready]
        if away:
            raise Failed("; ".join(away), 'See ops/docs/runbook.md, "A bot does not answer".')
        return ", ".join(f"{bot.name} is ready for /start" for bot in found) if found else "none are configured"

    async def _backup(self) -> str:
        house = await self._database.one(HOUSE)
        assert house is not None, "it always has a row"
        if house.backup_verified_at is None:
            raise Failed("none has been restored on trial", "Set TESSERA_BACKUP_URL, then `tessera backup`.")
        return f"restored on trial at {house.backup_verified_at:%Y-%m-%d %H:%M} UTC"

    async def _tls(self) -> str:
        house = await self._database.one(HOUSE)
        assert house is not None, "it always has a row"
        found = await certificate.look(self._settings, house.now)
        if found is None:
            raise Failed(f"{self._settings.base_url} is not https", "Set TESSERA_PUBLIC_URL to an https address.")
        if (trouble := certificate_trouble(found)) is not None:
            raise Failed(trouble, 'See ops/docs/runbook.md, "The certificate ends".')
        return f"{found.host}, good for {found.days:.0f} days"


async def _submit(tester: Guest) -> str:
    job = await tester.ordered(kind="image", metadata={"simulate": "slow"})
    status, _, _ = await tester.call("DELETE", f"/api/v1/jobs/{job['id']}")
    if status != 200:
        raise Failed(f"a cancellation was answered with {status}", "Look at the log of the service.")
    return "an order is taken with 201, and canceled"


async def _refused(poor: Guest, wanted: int) -> str:
    status, said, _ = await poor.order(kind="image")
    if status != wanted:
        raise Failed(f"an order without tokens was answered with {status}", f"Expected {wanted}: {said.get('detail')}")
    return "an order without tokens is refused, and says what is lacking"


async def _failure(tester: Guest) -> str:
    job = await tester.ended(await tester.ordered(kind="image", metadata={"simulate": "oom"}))
    if job["status"] != "failed" or job["cost"]["charged"]:
        raise Failed(f"it ended as {job['status']}, charged {job['cost']['charged']}", "Report this.")
    return "a run that fails says why, and costs nothing"


async def _flood(tester: Guest) -> str:
    """Some orders at once, taken back before the next, so that the line stays short and only the rate can refuse."""
    for _ in range(0, ORDERS_MAX, ORDERS_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            orders = [
                group.create_task(tester.order(kind="image", metadata={"simulate": "slow"}))
                for _ in range(ORDERS_AT_ONCE)
            ]
        answers = [order.result() for order in orders]
        async with asyncio.TaskGroup() as group:
            for status, job, _ in answers:
                if status == 201:
                    group.create_task(tester.call("DELETE", f"/api/v1/jobs/{job['id']}"))
        if refused := [(status, said, headers) for status, said, headers in answers if status != 201]:
            return _limited(*refused[0])
    raise Failed(f"{ORDERS_MAX} orders were taken", "tessera plan list: what does the plan `test` allow?")


def _limited(status: int, said: Any, headers: dict[str, str]) -> str:
    if said.get("code") != RateLimited.slug:
        raise Failed(f"an order was answered with {status}: {said.get('detail')}", "Read the sentence.")
    if "Retry-After" not in headers:
        raise Failed("429 without Retry-After", "Does a proxy in front take headers away?")
    return f"too many orders in a minute are refused ({said['code']}), with Retry-After"


async def _tick(name: str, look: Callable[[], Awaitable[str]], cure: str) -> Tick:
    try:
        return Tick(name=name, well=True, found=await look())
    except Failed as error:
        return Tick(name=name, well=False, found=str(error), cure=error.cure)
    except (TesseraError, ConfigurationError, aiohttp.ClientError, OSError) as error:
        return Tick(name=name, well=False, found=str(error) or type(error).__name__, cure=cure)

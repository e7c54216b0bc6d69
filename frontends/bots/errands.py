"""What the dialogue asks of the API, done: each request as the call that it is, for the person that it names.

A refusal of the API becomes a `Problem`, and so does a service that does not answer, after some patience. Files are
fetched here, too: of jobs by their owner's name, since signed addresses expire, and of people from where a skin says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from control_plane.wire.chat import Admission, ChatView
from control_plane.wire.conduct import Reason, ReportReceipt, Suspension
from control_plane.wire.job import ArtifactView, JobList, JobView
from control_plane.wire.linking import (
    KNOWN_MAX,
    InviteRequest,
    KnownIdentities,
    KnownRequest,
    LinkCode,
    LinkRequest,
)
from control_plane.wire.model import ModelList
from control_plane.wire.operator import GrantRequest, GrantView, ServiceView, UserFound, WhyView, WorkerList
from control_plane.wire.payment import PackList, PaymentView, RefundRequest
from control_plane.wire.user import AccountView, Limits, PlanList, Preferences, UserView
from frontends.bots.dialogue import requests as ask
from frontends.bots.dialogue.buying import PROVIDER
from frontends.bots.dialogue.requests import Answer, Asked, Done, Problem, Translated
from frontends.bots.dialogue.screen import Artifact, Glimpse
from frontends.bots.language.translation import OUTCOMES, Translator, language
from frontends.client import Client
from frontends.problems import ClientError, ProblemDocument, Refused

API = "/api/v1"
DOWNLOAD_SECONDS = 600.0

Fetch = Callable[[str, Path], Awaitable[Path]]
"""Brings the picture of a skin's reference into a folder."""
Kind = TypeVar("Kind")


class Errands:
    """One for all bots; `client` is of the service and names nobody yet."""

    def __init__(self, client: Client, folder: Path, translator: Translator | None = None) -> None:
        self._client = client
        self._folder = folder
        self._translator = translator

    async def run(self, asked: Asked, identity: str, fetch: Fetch) -> Answer | Problem:
        """The answer, or why there is none."""
        try:
            return await self._answer(asked, self._client.acting(identity), identity, fetch)
        except Refused as error:
            return problem(error)
        except (ClientError, OSError) as error:
            return Problem(code="unreachable", detail=str(error))

    async def preferences(self, identity: str) -> Preferences | None:
        """What somebody has chosen; None when they are nobody yet, or cannot be asked."""
        try:
            return await self._client.acting(identity).call("GET", f"{API}/user/preferences", Preferences)
        except ClientError:
            return None

    async def limits(self, identity: str) -> Limits | None:
        """What the plan of somebody allows; None when they cannot be asked."""
        try:
            return (await self._client.acting(identity).call("GET", f"{API}/user/me", AccountView)).limits
        except ClientError:
            return None

    async def models(self) -> ModelList:
        return await self._client.models()

    async def known(self, identities: list[str]) -> set[str]:
        """Which of these people have an account. Raises `ClientError`."""
        found: set[str] = set()
        for n in range(0, len(identities), KNOWN_MAX):
            body = msgspec.json.encode(KnownRequest(identities=identities[n : n + KNOWN_MAX]))
            headers = {"Content-Type": "application/json"}
            answer = await self._client.call(
                "POST", f"{API}/identities/known", KnownIdentities, body=body, headers=headers
            )
            found.update(answer.known)
        return found

    async def look(self, job_id: UUID, identity: str) -> JobView:
        """A job as its owner sees it. Raises `ClientError`."""
        return await self._client.acting(identity).job(job_id)

    def follow(self, job: JobView, identity: str) -> AsyncIterator[JobView]:
        return self._client.acting(identity).follow(job)

    @asynccontextmanager
    async def file(self, artifact: Artifact) -> AsyncIterator[Path]:
        """A file of a job, for as long as the block runs. Raises `ClientError`, also when it is gone."""
        client = self._client.acting(artifact.identity)
        job = await client.job(artifact.job_id)
        found = next((file for file in job.artifacts if file.index == artifact.index), None)
        if found is None:
            raise Refused(410, ProblemDocument(code="gone"), repeatable=False, retry_after=None)
        with TemporaryDirectory(dir=self._folder) as folder:
            yield await _downloaded(client, found, Path(folder) / artifact.file_name)

    async def glimpse(self, glimpse: Glimpse) -> bytes | None:
        """The last preview of a job; None when there is none."""
        try:
            return await self._client.acting(glimpse.identity).preview(glimpse.job_id)
        except ClientError:
            return None

    async def _answer(self, asked: Asked, client: Client, identity: str, fetch: Fetch) -> Answer:
        match asked:
            case ask.Place():
                return await client.submit(asked.order, idempotency_key=asked.idempotency_key)
            case ask.Look():
                looker = self._client.acting(asked.owner) if asked.owner else client
                return await looker.job(asked.job_id)
            case ask.ListJobs():
                return await client.call("GET", f"{API}/jobs", JobList, query=_listing(asked))
            case ask.Cancel():
                return await client.cancel(asked.job_id)
            case ask.Translate():
                return await self._translate(asked)
            case ask.TakeIn():
                return await self._take_in(asked, client, fetch)
            case ask.Grant() | ask.Ban():
                return await _about_somebody(asked, client)
            case _:
                method, path, kind, body, query = _plain(asked)
                headers = {"Content-Type": "application/json"} if body is not None else None
                found = await client.call(method, API + path, kind, body=body, headers=headers, query=query)
                return Done() if found is None else found

    async def _translate(self, asked: ask.Translate) -> Answer:
        if self._translator is None:
            return Translated(text=asked.typed, unwanted=asked.unwanted, outcome="kept")
        code, spoken = asked.client_code, language(asked.typed, asked.client_code)
        translated = partial(self._translator.translate, triggers=asked.triggers)
        async with asyncio.TaskGroup() as group:  # within the time of one
            prompt = group.create_task(translated(asked.typed, code, asked.reads))
            unwanted = group.create_task(translated(asked.unwanted, code, asked.reads, spoken=spoken))
        found, beside = prompt.result(), unwanted.result()
        worse = max(found.outcome, beside.outcome, key=OUTCOMES.index)
        return Translated(text=found.text, unwanted=beside.text, outcome=worse)

    async def _take_in(self, asked: ask.TakeIn, client: Client, fetch: Fetch) -> Answer:
        if asked.artifact is not None:
            async with self.file(asked.artifact) as path:
                return await client.upload(path)
        with TemporaryDirectory(dir=self._folder) as folder:
            return await client.upload(await fetch(asked.reference, Path(folder)))


def problem(error: Refused) -> Problem:
    """A refusal of the API as the dialogue knows it."""
    document = error.document
    told = {name: getattr(document, name) for name in ("needed", "available", "resets_at", "category")}
    detail = "; ".join(fault.detail for fault in document.errors) or document.detail or document.title
    fields = {name: value for name, value in told.items() if value is not None}
    code = document.code or ("unreachable" if error.status >= 500 else "unknown")
    return Problem(code=code, status=error.status, detail=detail, fields=fields, retry_after=error.retry_after)


def _listing(asked: ask.ListJobs) -> dict[str, str]:
    query = {"limit": str(asked.limit)}
    if asked.status:
        query["status"] = asked.status
    if asked.before is not None:
        query["created_before"] = asked.before.isoformat()
    return query


async def _about_somebody(asked: ask.Grant | ask.Ban, client: Client) -> Answer:
    """People are named in words; the API acts on ids."""
    found = await client.call("GET", f"{API}/admin/users", UserFound, query={"name": asked.user})
    path = f"{API}/admin/users/{found.user.id}"
    headers = {"Content-Type": "application/json"}
    if isinstance(asked, ask.Grant):
        body = msgspec.json.encode(GrantRequest(tokens=asked.tokens, reason=asked.reason))
        return await client.call("POST", f"{path}/grant", GrantView, body=body, headers=headers)
    body = msgspec.json.encode(Reason(reason=asked.reason))
    return await client.call("POST", f"{path}/suspend", Suspension, body=body, headers=headers)


Plain = tuple[str, str, Any, bytes | None, dict[str, str] | None]
"""Method, path, type of the answer, body, parameters."""


def _plain(asked: Asked) -> Plain:
    """Requests that are one call and nothing else."""
    match asked:
        case ask.Me():
            return "GET", "/user/me", AccountView, None, None
        case ask.Plans():
            return "GET", "/plans", PlanList, None, None
        case ask.Packs():
            return "GET", "/packs", PackList, None, None
        case ask.Prefer():
            return "PUT", "/user/preferences", Preferences, _body(asked.wanted), None
        case ask.MakeCode():
            return "POST", "/user/link-code", LinkCode, None, None
        case ask.EnterCode():
            return "POST", "/user/link", UserView, _body(LinkRequest(code=asked.code)), None
        case ask.EnterInvite():
            return "POST", "/user/invite", UserView, _body(InviteRequest(code=asked.code)), None
        case ask.Report():
            return "POST", "/reports", ReportReceipt, _body(asked.asked), None
        case ask.Erase():
            return "DELETE", f"/jobs/{asked.job_id}/artifacts", NoneType, None, None
        case ask.Credit():
            return "POST", "/payments", PaymentView, _body(asked.paid), None
        case _:
            return _of_chats(asked) or _of_operators(asked)


def _of_chats(asked: Asked) -> Plain | None:
    match asked:
        case ask.Admit():
            return "POST", f"/chats/{_chat(asked.chat)}/orders", Admission, _body(asked.asked), None
        case ask.GiveBack():
            return "DELETE", f"/chats/{_chat(asked.chat)}/orders", NoneType, None, {"key": asked.order_key}
        case ask.LookAtChat():
            return "GET", f"/chats/{_chat(asked.chat)}", ChatView, None, None
        case ask.RuleChat():
            return "PUT", f"/chats/{_chat(asked.chat)}", ChatView, _body(asked.rules), None
        case _:
            return None


def _of_operators(asked: Asked) -> Plain:
    match asked:
        case ask.Status():
            return "GET", "/admin/status", ServiceView, None, None
        case ask.Workers():
            return "GET", "/admin/workers", WorkerList, None, None
        case ask.Switch():
            return "POST", "/admin/switches", NoneType, _body(asked.asked), None
        case ask.Drain():
            return "POST", f"/admin/workers/{quote(asked.worker, safe='')}/drain", NoneType, b"{}", None
        case ask.Refund():
            body = RefundRequest(provider=PROVIDER, provider_id=asked.charge, reason=asked.reason)
            return "POST", "/admin/payments/refund", PaymentView, _body(body), None
        case ask.Why():
            return "GET", f"/admin/jobs/{asked.job_id}/why", WhyView, None, None
    raise AssertionError(asked)


def _chat(place: str) -> str:
    """`telegram:-100` as a part of a path."""
    provider, _, chat = place.partition(":")
    return f"{quote(provider, safe='')}/{quote(chat, safe='')}"


def _body(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value)


async def _downloaded(client: Client, found: ArtifactView, target: Path) -> Path:
    async with asyncio.timeout(DOWNLOAD_SECONDS):
        await client.download(found, target)
    return target

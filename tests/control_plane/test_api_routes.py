"""What is open to whom: the table of public routes, and that nothing of one user shows to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from control_plane import api
from control_plane.api import guards, openai_errors
from control_plane.api.document import plain_path
from control_plane.api.operation import Nothing, Operation, declared
from control_plane.app import create_app
from control_plane.settings import Settings
from control_plane.webhooks import deliveries, endpoints
from control_plane.wire.webhook import WebhookRequest
from tests.fixtures.api import API, Plane
from tests.fixtures.uploads import uploaded
from tests.fixtures.worker import Service, picture


async def _queued(service: Service) -> str:
    return str(await service.order())


async def _shown(service: Service) -> str:
    """A running job with a preview."""
    lease = await service.leased()
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    shown = {"progress": {"value": 0.5}, "preview": picture()}
    await service.hands.call("/heartbeat", {"leases": [report | shown]})
    return str(lease.job_id)


async def _done(service: Service) -> str:
    return str((await service.done())["id"])


async def _webhook(service: Service) -> str:
    wanted = WebhookRequest(url="https://receiver.invalid/hook")
    return str((await endpoints.create(service.context.database, service.user_id, wanted, ())).webhook.id)


async def _delivery(service: Service) -> str:
    """Below its webhook, as in the path."""
    webhook_id = await _webhook(service)
    return f"{webhook_id}/{(await deliveries.test(service.context.database, service.user_id, UUID(webhook_id))).id}"


async def _batch(service: Service) -> str:
    headers = {"Authorization": f"Bearer {service.key}"}
    body = {"jobs": [{"prompt": "a lighthouse"}] * 2}
    async with service.session.post(f"{service.url}{API}/jobs/batch", json=body, headers=headers) as response:
        return str((await response.json())["id"])


async def _uploaded(service: Service) -> str:
    return str((await uploaded(service))["id"])


STRANGERS: dict[str, Callable[[Service], Awaitable[str]]] = {
    "get_job": _queued,
    "follow_job": _done,
    "get_timeline": _queued,
    "cancel_job": _queued,
    "get_preview": _shown,
    "repeat_job": _queued,
    "get_batch": _batch,
    "cancel_batch": _batch,
    "get_own_artifact": _done,
    "get_own_thumbnail": _done,
    "erase_artifacts": _done,
    "make_share": _done,
    "get_share": _done,
    "remove_share": _done,
    "publish_artifact": _done,
    "withdraw_artifact": _done,
    "list_publications": _done,
    "get_input": _uploaded,
    "get_input_content": _uploaded,
    "delete_input": _uploaded,
    "get_webhook": _webhook,
    "change_webhook": _webhook,
    "delete_webhook": _webhook,
    "rotate_webhook_secret": _webhook,
    "test_webhook": _webhook,
    "list_deliveries": _webhook,
    "redeliver": _delivery,
}
"""Every operation of a person that names a thing by id, and the job of somebody else that it is tried on."""

FENCED = {
    "upload_artifact",
    "direct_artifact",
    "collect_artifact",
    "complete_attempt",
    "fail_attempt",
    "release_attempt",
    "fetch_input",
}
"""Operations of a worker on a lease; `test_api_worker.py` tries each with the lease of another worker."""

SIGNED = {"get_artifact", "head_artifact", "get_input_file", "get_thumbnail", "open_share"}
"""Public operations that name a job; they need a signature or a link instead (`test_shares.py` and others)."""

PROBLEM_PAGES = {"get_problem"}

CATALOGUE = {"get_gallery_file", "get_gallery_thumbnail", "get_openai_model", "get_agent_wheel"}
"""Operations that name what is the same for everybody."""

CHATS = {"get_chat", "set_chat", "admit_order", "give_back_order"}
"""Operations of a service on chats of its providers; `test_chats.py` tries each as a person and for a strange chat."""

OWN = {"unlink_identity"}
"""Operations that name a thing of the caller by what it is called among theirs."""

KEYS = {"rotate_key", "end_key", "end_session"}
"""Operations that need the scope `keys`; `test_keys.py` and `test_sessions.py` try each on what is somebody else's."""

DOORS = {"get_login_link", "follow_login_link", "start_sign_in", "finish_sign_in"}
"""Operations that name a secret or a provider by which somebody comes in; see `test_sessions.py`, `test_signin.py`."""

ADMINISTRATORS = {
    *("quarantine_artifact", "restore_artifact", "uphold_report", "dismiss_report", "suspend_user", "restore_user"),
    *("approve_publication", "refuse_publication"),
    *("drain_machine", "resume_machine", "revoke_machine", "grant_tokens", "put_on_plan", "explain_job"),
}
"""Operations on anybody's things, for which a person without the scope is refused before anything is looked at."""


def _by_id() -> list[Operation]:
    return [op for op in api.operations() if "{" in op.path]


def test_public_routes_are_exactly_those_of_the_table() -> None:
    app = create_app(Settings(), "postgresql://nowhere/none")
    routed = {
        (method, route.path_format.replace("//", "/"))
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
    }
    known = {(op.method, plain_path(op.path)) for op in api.operations()}
    assert routed == known
    public = {(op.method, op.path) for op in api.operations() if op.guard is guards.PUBLIC}
    assert public == api.PUBLIC


def test_every_route_that_is_not_public_has_a_guard() -> None:
    app = create_app(Settings(), "postgresql://nowhere/none")
    handlers = [handler for route in app.routes for handler in getattr(route, "route_handlers", ())]
    undeclared = [
        handler for handler in handlers if declared(handler) is None and "OPTIONS" not in handler.http_methods
    ]
    assert not undeclared
    assert len(handlers) > 15


async def test_every_guarded_route_refuses_a_caller_without_credentials(control_plane: Plane) -> None:
    tried = 0
    for op in api.operations():
        if op.guard is guards.PUBLIC:
            continue
        if op.guard is guards.METRICS:  # open to neighbours, but not to those who speak for somebody else
            answered = await control_plane.call(op.method, op.path, headers={"X-Forwarded-For": "203.0.113.9"})
        else:
            answered = await control_plane.call(op.method, _filled(op, str(uuid4())), raw=b"{}")
        assert answered.status == 401, op
        assert answered.headers["WWW-Authenticate"] == "Bearer"
        code = answered.json["error"]["code"] if openai_errors.speaks(op.path) else answered.code
        assert code in {"unauthorized", "invalid_api_key"}
        tried += 1
    assert tried >= 10


def test_every_operation_with_an_id_is_tried_by_a_second_user() -> None:
    tried = {*STRANGERS, *FENCED, *SIGNED, *ADMINISTRATORS, *PROBLEM_PAGES, *KEYS, *CATALOGUE, *OWN, *CHATS, *DOORS}
    assert {op.name for op in _by_id()} == tried


@pytest.mark.parametrize("name", STRANGERS)
async def test_somebody_elses_looks_like_nobodys(name: str, control_plane: Plane) -> None:
    op = next(op for op in api.operations() if op.name == name)
    job_id = await STRANGERS[name](control_plane.service)
    stranger = await control_plane.user_key()
    body: object = None if op.body is Nothing else {}
    foreign = await control_plane.call(op.method, _filled(op, job_id), stranger, body)
    missing = await control_plane.call(op.method, _filled(op, str(uuid4())), stranger, body)
    assert foreign.status == missing.status == 404
    assert _same(foreign.json) == _same(missing.json)
    own = await control_plane.call(op.method, _filled(op, job_id), control_plane.service.key, body)
    assert own.status < 400, own.body


@pytest.mark.parametrize("name", sorted(ADMINISTRATORS))
async def test_an_administrators_operation_is_nobody_elses(name: str, control_plane: Plane) -> None:
    op = next(op for op in api.operations() if op.name == name)
    job_id = await _done(control_plane.service)
    for wanted in (job_id, str(uuid4()), str(control_plane.service.user_id)):
        refused = await control_plane.call(op.method, _filled(op, wanted), control_plane.service.key, {})
        assert (refused.status, refused.code) == (403, "forbidden")
    assert (await control_plane.service.as_customer(f"{API}/jobs/{job_id}")).json["artifacts"]


async def test_a_list_has_only_ones_own_jobs(control_plane: Plane) -> None:
    mine, theirs = await control_plane.user_key(), await control_plane.user_key()
    job = await control_plane.order(mine)
    await control_plane.order(theirs)
    assert [found["id"] for found in (await control_plane.call("GET", f"{API}/jobs", mine)).json["data"]] == [job["id"]]


def _filled(op: Operation, job_id: str) -> str:
    job_id, _, within = job_id.partition("/")
    ids = dict.fromkeys(("job_id", "report_id", "user_id", "webhook_id", "batch_id", "input_id"), job_id) | {
        "delivery_id": within or job_id,
        "session_id": job_id,
        "publication_id": job_id,
    }
    named = {"slug": "invalid", "provider": "telegram", "model": "testcard", "key_id": "0" * 12} | {
        "chat": "1",
        "worker": "den",
        "token": "none",
    }
    values = {**ids, **named, "number": "1", "attempt": "1", "index": "0"}
    return plain_path(op.path).format(**values)


def _same(problem: dict[str, object]) -> dict[str, object]:
    """A problem without what is different for every request."""
    return {name: value for name, value in problem.items() if name not in ("request_id", "instance")}

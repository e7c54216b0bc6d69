"""The service does what its document says: generated requests, fit and unfit, to every operation.

Whatever is sent, no answer is undocumented, none is a fault of ours, and each body is as its schema says. A few
examples each belong to every run; the torture runs take `TESSERA_TEST_EXAMPLES` (200).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane import api
from control_plane.api import guards
from control_plane.people import credentials, users
from control_plane.people.credentials import SCOPES
from tests.fixtures.api import Plane
from tests.fixtures.worker import Hands, enrolled, picture, serving

EXAMPLES_QUICK = 2
EXAMPLES_AT_LENGTH = int(os.environ.get("TESSERA_TEST_EXAMPLES", "200"))
"""For each operation and each mode: fit and unfit."""
SEED = 20_260_101
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = {"follow_jobs"}
"""Streams that end with their reader only: of these the beginning is looked at."""
ANSWER_SECONDS = 30.0
BRIEF = {
    "poll_seconds": 0.05,
    "heartbeat_seconds": 0.05,
    "images_wait_seconds": 20.0,
}
"""Requests of a worker that wait are answered soon, since nothing that they wait for will come."""


@asynccontextmanager
async def brief_plane(database_url: str, folder: Path) -> AsyncIterator[Plane]:
    """A control plane with an administrator whom no plan limits."""
    async with serving(database_url, folder, **BRIEF) as service:
        admin_id = await users.create(service.context.database, "admin", "house")
        made = await credentials.create_key(service.context.database, name="admin", user_id=admin_id, scopes=SCOPES)
        async with asyncio.TaskGroup() as tasks:
            labour = tasks.create_task(_work(service.hands))
            yield Plane(service, admin_id, made.key)
            labour.cancel()


async def _work(hands: Hands) -> None:
    """Whatever is ordered is done at once, with a picture that is much too small."""
    while True:
        for lease in await hands.claim(wait=0.05):
            await hands.start(lease)
            for index in range(lease.spec.count):
                await hands.upload(lease, picture(), index)
            await hands.complete(lease, lease.spec.count)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")  # the service beside us does
@pytest.mark.parametrize(
    "examples", [EXAMPLES_QUICK, pytest.param(EXAMPLES_AT_LENGTH, marks=pytest.mark.torture, id="at length")]
)
async def test_the_service_does_what_its_document_says(examples: int, database_url: str, tmp_path: Path) -> None:
    async with brief_plane(database_url, tmp_path) as plane:
        document = (await plane.call("GET", "/openapi.json")).json
        other = await enrolled(plane.context, plane.service.session, "other")  # who may be drained
        trial = Trial(plane, other.secret, examples)
        await asyncio.to_thread(trial.run, document)
    assert not trial.faults, "\n\n".join(trial.faults)
    assert set(trial.sent) == {op.name for op in api.operations()}
    assert all(count >= 1 for count in trial.sent.values()), trial.sent
    assert sum(trial.sent.values()) >= examples * len(trial.sent)


class Trial:
    """What was sent to each operation, and what came of it."""

    def __init__(self, plane: Plane, worker_key: str, examples: int) -> None:
        self._plane = plane
        self._worker_key = worker_key
        self._examples = examples
        self.sent: dict[str, int] = {}
        self.faults: list[str] = []

    def run(self, document: dict[str, Any]) -> None:
        guarded = {op.name: op.guard for op in api.operations()}
        loaded: Any = schemathesis.openapi.from_dict(document)
        for result in loaded.get_all_operations():
            operation = result.ok()
            name = operation.definition.raw["operationId"]
            worker = guarded[name] is guards.WORKER
            key = self._worker_key if worker else self._plane.admin_key
            self.sent[name] = 0
            for mode in GenerationMode:
                self._try(name, operation, mode, {"Authorization": f"Bearer {key}"})
            if name == "set_switch":
                self._resume_submits()

    def _resume_submits(self) -> None:
        """An operator may have paused them, and then nobody could order any more."""
        body: Any = {"what": "submits", "name": "", "paused": False}
        headers = {"Authorization": f"Bearer {self._plane.admin_key}"}
        address = f"{self._plane.url}/api/v1/admin/switches"
        assert requests.post(address, json=body, headers=headers, timeout=ANSWER_SECONDS).status_code == 204

    def _try(self, name: str, operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
        @seed(SEED)
        @settings(
            max_examples=self._examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if name in ENDLESS:
                _begin(case, self._plane.url, headers)
            else:
                case.call_and_validate(base_url=self._plane.url, headers=headers, checks=CHECKS, timeout=ANSWER_SECONDS)
            self.sent[name] += 1

        try:
            check()
        except Unsatisfiable:  # nothing about it can be unfit
            assert mode is GenerationMode.NEGATIVE
        except (Exception, FailureGroup) as error:  # the other operations are tried all the same
            self.faults.append(f"{name}: {error}")


def _begin(case: Any, url: str, headers: dict[str, str]) -> None:
    """The status and the type of an answer that has begun."""
    documented = case.operation.definition.raw["responses"]
    sent = case.as_transport_kwargs(base_url=url, headers=headers)
    with requests.request(**sent, stream=True, timeout=ANSWER_SECONDS) as answer:
        assert str(answer.status_code) in documented, answer.status_code
        media_type = answer.headers["Content-Type"].partition(";")[0]
        assert media_type in documented[str(answer.status_code)]["content"], media_type

"""The service does what its document says: generated requests, fit and unfit, to every operation.

Whatever is sent, no answer is undocumented, none is a fault of ours, and each body is as its schema says. A part of
the requests names things that exist, lest every operation with an id were only ever asked for what is not there. A few
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
from hypothesis import strategies as st
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
from tests.fixtures.belongings import Belongings
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
OF_BOTS = {"get_chat", "set_chat", "admit_order", "give_back_order"}
"""Operations on chats, for which a service answers."""
LANES = 4
"""That there may be."""
GIVES_UP = "Unsupported type: 'Binary'"
"""What the generator says of a file that it has made itself, when it looks whether a form with it is unfit."""
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
        other = await enrolled(plane.context, plane.service.session, "other")
        await enrolled(plane.context, plane.service.session, "spare")  # who may be drained and revoked
        bot = await plane.service_key("telegram", scopes=["read", "submit", "payments"])
        trial = Trial(plane, other.secret, bot, examples)
        await asyncio.to_thread(trial.run, document)
    assert not trial.faults, "\n\n".join(trial.faults)
    assert set(trial.sent) == {op.name for op in api.operations()}
    assert all(count >= 1 for count in trial.sent.values()), trial.sent
    assert sum(trial.sent.values()) >= examples * len(trial.sent)


class Trial:
    """What was sent to each operation, and what came of it."""

    def __init__(self, plane: Plane, worker_key: str, bot_key: str, examples: int) -> None:
        self._plane = plane
        self._worker_key = worker_key
        self._bot_key = bot_key
        self._examples = examples
        self._mine = Belongings(plane.url, plane.admin_key, worker="spare", user_id=plane.service.user_id)
        self.sent: dict[str, int] = {}
        self.faults: list[str] = []

    def run(self, document: dict[str, Any]) -> None:
        guarded = {op.name: op.guard for op in api.operations()}
        loaded: Any = schemathesis.openapi.from_dict(document)
        for result in loaded.get_all_operations():
            operation = result.ok()
            name = operation.definition.raw["operationId"]
            self.sent[name] = 0
            for mode in GenerationMode:
                self._try(name, operation, mode, self._headers(name, guarded[name]))
            if name == "set_switch":
                self._resume()
            if operation.method.upper() != "GET":
                self._mine.forget()

    def _headers(self, name: str, guard: guards.Guard[Any]) -> dict[str, str]:
        """Of whoever the operation is for."""
        if guard is guards.TELLER or name in OF_BOTS:
            return {"Authorization": f"Bearer {self._bot_key}", "Tessera-On-Behalf-Of": "telegram:1"}
        key = self._worker_key if guard is guards.WORKER else self._plane.admin_key
        return {"Authorization": f"Bearer {key}"}

    def _resume(self) -> None:
        """An operator may have paused what others need."""
        headers = {"Authorization": f"Bearer {self._plane.admin_key}"}
        switches = [("submits", ""), ("model", "testcard"), *(("lane", str(number)) for number in range(1, LANES + 1))]
        for what, name in switches:
            body: Any = {"what": what, "name": name, "paused": False}
            address = f"{self._plane.url}/api/v1/admin/switches"
            answer = requests.post(address, json=body, headers=headers, timeout=ANSWER_SECONDS)
            assert answer.status_code in (204, 404), answer.text

    def _name_what_there_is(self, name: str, case: Any) -> None:
        known = {parameter: self._mine.of(parameter) for parameter in case.path_parameters or ()}
        case.path_parameters.update({parameter: value for parameter, value in known.items() if value is not None})
        case.query = self._mine.opened(name) or case.query
        case.headers.pop("Tessera-On-Behalf-Of", None)  # the key of a person acts for nobody else

    def _try(self, name: str, operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
        @seed(SEED)
        @settings(
            max_examples=self._examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
        def check(case: Any, real: bool) -> None:
            if real:
                self._name_what_there_is(name, case)
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
            if mode is not GenerationMode.NEGATIVE or str(error) != GIVES_UP:
                self.faults.append(f"{name}: {error}")


def _begin(case: Any, url: str, headers: dict[str, str]) -> None:
    """The status and the type of an answer that has begun."""
    documented = case.operation.definition.raw["responses"]
    sent = case.as_transport_kwargs(base_url=url, headers=headers)
    with requests.request(**sent, stream=True, timeout=ANSWER_SECONDS) as answer:
        assert str(answer.status_code) in documented, answer.status_code
        media_type = answer.headers["Content-Type"].partition(";")[0]
        assert media_type in documented[str(answer.status_code)]["content"], media_type

"""Merges among what the two people and the workers do at the same moment: nobody notices and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from structlog.testing import capture_logs

from control_plane.people import credentials, linking
from control_plane.wire.worker import Lease
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.people import Person, at_ease, count, violations
from tests.fixtures.queue import rows
from tests.fixtures.worker import Hands, enrolled, picture, serving

SUBMITS = 25
"""By each of two identities at once."""
ROUNDS = 4


async def started(hands: Hands) -> Lease:
    """A lease at work, its file there."""
    [lease] = await hands.claim(wait=5)
    await hands.start(lease)
    assert (await hands.upload(lease, picture())).status == 200
    return lease


async def test_nobody_notices_a_merge_among_fifty_submits(control_plane: Plane, bot: str, owner_url: str) -> None:
    """Each order is placed once, for whoever its sender is by then; some were placed before, some met the merge."""
    before = after = 0
    for number in range(ROUNDS):
        pair = [Person(control_plane, bot, f"{provider}:{number}") for provider in ("telegram", "discord")]
        older, younger = [(await person.me())["id"] for person in pair]
        at_ease(owner_url)
        control_plane.context.credentials.forget_all()
        code = await pair[0].code()
        submits = [person.order(metadata={"by": person.name}) for _ in range(SUBMITS) for person in pair]
        half = len(submits) // 2
        answers = await asyncio.gather(*submits[:half], pair[1].enter(code), *submits[half:])
        assert answers.pop(half).status == 200
        assert {answered.status for answered in answers} == {201}, [answered.body for answered in answers]
        jobs = [answered.json["id"] for answered in answers]
        assert count(owner_url, "select count(*) from jobs where user_id = %s", older) == len(set(jobs)) == 2 * SUBMITS
        assert count(owner_url, "select count(*) from jobs where user_id = %s", younger) == 0
        assert violations(owner_url) == []
        held = """select count(*) from ledger_transfers t join job_specs s on s.job_id = t.job_id
            where t.kind = 'hold' and s.metadata ->> 'by' = %s and t.user_id = %s"""
        before += count(owner_url, held, pair[1].name, younger)
        after += count(owner_url, held, pair[1].name, older)
    assert before >= ROUNDS
    assert after >= ROUNDS
    assert before + after == ROUNDS * SUBMITS


async def test_a_submit_that_waits_for_a_merge_is_placed_for_the_survivor(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    """The refusal `merged` itself, and a process that remembers who the identity was."""
    older, younger = (await ada.me())["id"], (await lovelace.me())["id"]
    with psycopg.connect(owner_url) as merging:
        merging.execute("select merge_users(%s, %s)", [older, younger])
        submit = asyncio.create_task(lovelace.order())
        waiting: LiteralString = "select count(*) from pg_locks where not granted"
        await eventually(lambda: asyncio.to_thread(count, owner_url, waiting), lambda waiters: waiters >= 1)
        merging.commit()
        answered = await submit
    assert answered.status == 201, answered.body
    assert count(owner_url, "select count(*) from jobs where user_id = %s", older) == 1
    assert violations(owner_url) == []


async def test_a_merge_does_not_wait_for_a_job_with_the_balances_locked_but_begins_again(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    """A job that was born while the merge waited, and that somebody is about to change."""
    older, younger = (await ada.me())["id"], (await lovelace.me())["id"]
    waiting: LiteralString = "select count(*) from pg_locks where not granted"
    with capture_logs() as logs, psycopg.connect(owner_url) as account, psycopg.connect(owner_url) as job:
        account.execute("select from balances where user_id = %s for update", [older])
        merging = asyncio.create_task(linking.merge(control_plane.context.database, older, younger))
        await eventually(lambda: asyncio.to_thread(count, owner_url, waiting), lambda waiters: waiters >= 1)
        assert (await lovelace.order()).status == 201
        job.execute("select from jobs where user_id = %s for update", [younger])
        account.commit()
        await eventually(lambda: _repeated(logs), lambda repeated: repeated >= 1)
        job.commit()
        assert str((await merging).gone) == younger
    assert count(owner_url, "select count(*) from jobs where user_id = %s", older) == 1
    assert violations(owner_url) == []


async def _repeated(logs: Sequence[Mapping[str, Any]]) -> int:
    return sum(entry["event"] == "merge.repeated" and entry["sqlstate"] == "40001" for entry in logs)


async def test_merges_in_a_circle_at_once_make_one_user_of_all(control_plane: Plane, bot: str, owner_url: str) -> None:
    circle = [Person(control_plane, bot, f"telegram:{number}") for number in range(5)]
    for person in circle:
        await person.me()
    codes = [await person.code() for person in circle]
    jobs = [(await person.order()).json["id"] for person in circle]
    answers = await asyncio.gather(
        *(person.enter(code) for person, code in zip(circle, [*codes[1:], codes[0]], strict=True))
    )
    told = sorted(
        (answered.status, answered.json["errors"][0]["code"]) for answered in answers if answered.status != 200
    )
    assert told == [(422, "own_code")], "whoever came last was the same user already"
    assert len({(await person.me())["id"] for person in circle}) == 1
    assert count(owner_url, "select count(*) from users where status = 'merged'") == 4
    assert (
        count(owner_url, "select count(*) from users u join users s on s.id = u.merged_into where s.status = 'merged'")
        == 0
    )
    listed = (await circle[0].call("GET", "/jobs")).json["data"]
    assert {job["id"] for job in listed} == set(jobs)
    assert violations(owner_url) == []


async def test_somebody_seen_first_while_they_link_ends_as_one_user(
    control_plane: Plane, bot: str, owner_url: str
) -> None:
    for number in range(2 * ROUNDS):
        known, new = (Person(control_plane, bot, f"{provider}:{number}") for provider in ("telegram", "discord"))
        code = await known.code()
        looks = [new.call("GET", "/user/me") for _ in range(6)]
        answers = await asyncio.gather(*looks[:number], new.enter(code), *looks[number:])
        assert {answered.status for answered in answers} == {200}, [answered.body for answered in answers]
        assert (await new.me())["id"] == (await known.me())["id"]
    assert violations(owner_url) == []
    merged = count(owner_url, "select count(*) from users where status = 'merged'")
    attached = count(owner_url, "select count(*) from audit_log where verb = 'link'")
    assert merged + attached == 2 * ROUNDS


async def test_a_job_moved_by_a_merge_is_found_by_whom_it_belongs_to(
    control_plane: Plane, ada: Person, lovelace: Person, owner_url: str
) -> None:
    """Though no process was told: whoever finds nothing asks who they are before they say so."""
    older, younger = (await ada.me())["id"], (await lovelace.me())["id"]
    job = (await lovelace.order()).json["id"]
    with rows(owner_url) as owner:
        owner.execute("select merge_users(%s, %s)", [older, younger])
    assert (await lovelace.call("GET", f"/jobs/{job}")).status == 200
    canceled = await lovelace.call("DELETE", f"/jobs/{job}")
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    assert (await lovelace.me())["id"] == older


async def test_another_process_knows_of_a_merge_within_seconds_even_if_nobody_tells_it(
    control_plane: Plane, bot: str, database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path / "other", hints=False) as other:
        pair = [Person(control_plane, bot, f"telegram:{n}", other.url) for n in (1, 2)]
        there = [{"Authorization": f"Bearer {bot}", "Tessera-On-Behalf-Of": person.name} for person in pair]
        for headers in there:
            assert (await other.get(f"{API}/jobs", **headers)).json["data"] == []
        assert (await pair[0].order()).status == 201
        assert (await pair[1].enter(await pair[0].code())).status == 200
        before = asyncio.get_running_loop().time()
        listed = await eventually(
            lambda: other.get(f"{API}/jobs", **there[1]), lambda answered: len(answered.json["data"]) == 1
        )
        assert listed.status == 200
        assert asyncio.get_running_loop().time() - before < credentials.CACHE_SECONDS + 2


async def test_merges_race_completions_and_cancels_and_no_token_is_lost(
    control_plane: Plane, bot: str, owner_url: str
) -> None:
    """Two identities with jobs in line and at work; a worker ends what it has while the two become one."""
    context, session = control_plane.context, control_plane.service.session
    workers = [await enrolled(context, session, f"bench {number}") for number in range(6)]
    seen = {"completed": 0, "canceled": 0, "claimed": 0}
    for number in range(ROUNDS):
        pair = [Person(control_plane, bot, f"{provider}:{number}") for provider in ("telegram", "discord")]
        for person in pair:
            await person.me()
        at_ease(owner_url)
        jobs = [(person, (await person.order()).json["id"]) for _ in range(6) for person in pair]
        leases = [await started(hands) for hands in workers[:4]]
        mine = {str(lease.job_id) for lease in leases}
        queued = [(person, job) for person, job in jobs if job not in mine]
        code = await pair[0].code()
        async with asyncio.TaskGroup() as group:
            ended = [group.create_task(h.complete(lease)) for h, lease in zip(workers[:3], leases[:3], strict=True)]
            canceled = [group.create_task(person.call("DELETE", f"/jobs/{job}")) for person, job in queued[:4]]
            merged = group.create_task(pair[1].enter(code))
            claimed = [group.create_task(hands.claim()) for hands in workers[4:]]
            stopped = [
                group.create_task(person.call("DELETE", f"/jobs/{job}"))
                for person, job in jobs
                if job == str(leases[3].job_id)
            ]
        for task in (*ended, *canceled, merged, *stopped):
            assert task.result().status == 200, task.result().body
        seen["completed"] += sum(task.result().json["state"] == "succeeded" for task in ended)
        seen["canceled"] += sum(task.result().json["status"] == "canceled" for task in canceled)
        seen["claimed"] += sum(len(task.result()) for task in claimed)
        assert violations(owner_url) == []
        me = await pair[1].me()
        assert (me["id"], len(me["identities"])) == ((await pair[0].me())["id"], 2)
        live = "select count(*) from jobs where user_id = %s and finished_at is null"
        assert me["queued"] + me["running"] == count(owner_url, live, me["id"])
        for _, job in jobs:
            await pair[0].call("DELETE", f"/jobs/{job}")
        held = [(workers[3], leases[3])]
        held += [(hands, lease) for hands, task in zip(workers[4:], claimed, strict=True) for lease in task.result()]
        for hands, lease in held:
            await hands.release(lease)
        assert violations(owner_url) == []
    assert seen["completed"] == 3 * ROUNDS
    assert seen["canceled"] >= 2 * ROUNDS
    assert seen["claimed"] >= ROUNDS

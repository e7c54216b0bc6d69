"""The operator's verbs on a real embedded database, in both forms of answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from control_plane import embedded
from control_plane.database import Database
from control_plane.money import ledger
from control_plane.people import sessions
from control_plane.queue import admission, statements
from control_plane.queue.admission import Order
from control_plane.watch import book
from control_plane.watch.decision import Trouble, decide
from control_plane.wire.worker import EnrollRequest
from control_plane.workers import roster
from tests.fixtures.operator import SPEC, Say, Tell, name, on_database, submit
from tests.fixtures.worker import free_port


def enroll(data_dir: Path, token: str) -> None:
    request = EnrollRequest(token=token, secret_sha256=uuid.uuid4().hex * 2, name="unnamed")
    on_database(data_dir, lambda database: roster.enroll(database, request))


def test_an_account_is_created_listed_suspended_and_restored(say: Say, tell: Tell) -> None:
    ada = name()
    made = tell("user", "create", ada, "--plan", "pro")
    assert (made["name"], made["plan"], set(made)) == (ada, "pro", {"id", "name", "plan"})
    assert [user["id"] for user in tell("user", "list") if user["name"] == ada] == [made["id"]]
    assert tell("user", "suspend", ada)["status"] == "suspended"
    assert f"{ada}  pro   suspended" in say("user", "list")
    assert say("user", "restore", made["id"]) == f"{ada} is active again.\n"


def test_a_new_account_says_what_comes_next(say: Say) -> None:
    ada = name()
    assert say("user", "create", ada) == f"Created {ada} on plan free. Next: tessera key create {ada}\n"
    assert f"There is a user '{ada}' already" in say("user", "create", ada, code=64)
    assert "no colon" in say("user", "create", "telegram:1", code=64)
    assert "Did you mean pro?" in say("user", "create", name(), "--plan", "prro", code=64)


def test_a_link_that_signs_in_is_printed_to_be_passed_on(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    made = tell("user", "create", ada)
    url = say("user", "login-link", ada).strip()
    assert url.startswith("http://127.0.0.1:8000/auth/link/")
    told = tell("user", "login-link", made["id"])
    assert (told["name"], set(told)) == (ada, {"id", "name", "url", "expires_at"})
    newer, older = (link.rpartition("/")[2] for link in (told["url"], url))
    assert on_database(data_dir, lambda database: sessions.whose_link(database, newer, "here")) == ada
    assert on_database(data_dir, lambda database: sessions.whose_link(database, older, "here")) is None
    logged = [(entry["verb"], entry["object_kind"]) for entry in tell("audit", "list", "--limit", "2")]
    assert logged == [("create", "login_link")] * 2
    tell("user", "suspend", ada)
    assert say("user", "login-link", ada, code=1) == ""


def test_an_unknown_account_is_told_with_the_nearest(say: Say) -> None:
    say("user", "create", "grace-hopper")
    assert say("user", "suspend", "grace-hoper", code=64) == (
        "tessera: There is no account grace-hoper. Did you mean grace-hopper?\n"
    )


def test_a_key_is_shown_once_and_ends_for_ever(say: Say, tell: Tell) -> None:
    ada = name()
    tell("user", "create", ada)
    made = tell("key", "create", ada)
    assert set(made) == {"id", "key"}
    assert made["key"].startswith(f"tsk_{made['id']}_")
    [listed] = tell("key", "list", ada)
    assert (listed["scopes"], listed["revoked_at"]) == (["read", "submit"], None)
    assert made["key"] not in json.dumps(listed)
    assert made["id"] in say("key", "list", ada)
    assert say("key", "revoke", made["key"]) == f"The key {made['id']} opens nothing any more.\n"
    assert tell("key", "list", ada)[0]["revoked_at"] is not None
    assert "There is no live key" in say("key", "revoke", made["id"], code=64)


def test_a_key_can_expire_and_be_limited(tell: Tell, say: Say) -> None:
    ada = name()
    tell("user", "create", ada)
    tell("key", "create", ada, "--scope", "read", "--days", "2", "--name", "dashboard")
    [listed] = tell("key", "list", ada)
    assert (listed["name"], listed["scopes"], bool(listed["expires_at"])) == ("dashboard", ["read"], True)
    assert say("key", "create", ada).startswith("tsk_")


def test_a_service_acts_for_its_providers_and_is_no_administrator(say: Say, tell: Tell) -> None:
    made = tell("key", "create", "--service", "bots", "--provider", "telegram", "--provider", "discord")
    [listed] = [key for key in tell("key", "list") if key["id"] == made["id"]]
    assert (listed["name"], listed["providers"]) == ("bots", ["discord", "telegram"])
    assert "telegram:*" in say("key", "list")
    refused = {
        ("--service", "bots"): "--provider",
        ("ada", "--service", "bots"): "either USER, or --service",
        (): "either USER, or --service",
        ("--service", "bots", "--provider", "telegram", "--scope", "admin"): "never an administrator",
        ("--service", "bots", "--provider", "Telegram"): "lower-case letters",
    }
    for words, sentence in refused.items():
        assert sentence in say("key", "create", *words, code=64)


def test_a_machine_is_enrolled_drained_resumed_and_revoked(say: Say, tell: Tell, data_dir: Path) -> None:
    den = name()
    token = tell("worker", "enroll-token", "--name", den)
    assert token["token"].startswith("tse_")
    enroll(data_dir, token["token"])

    def condition() -> str:
        [found] = [listed for listed in tell("worker", "list", "--all") if listed["worker"]["name"] == den]
        return str(found["condition"])

    assert condition() == "away"
    assert den in say("worker", "list")
    assert say("worker", "drain", den) == f"{den} finishes what it holds and takes no more.\n"
    assert condition() == "drained"
    assert tell("worker", "resume", den)["condition"] == "resumed"
    assert condition() == "away"
    assert say("worker", "revoke", den) == f"{den} may do nothing more; 0 jobs went back.\n"
    assert condition() == "revoked"
    assert "There is no worker" in say("worker", "drain", den, code=64)


def test_the_token_for_a_machine_comes_with_the_command_to_type(say: Say) -> None:
    told = say("worker", "enroll-token", "--hours", "2")
    assert "curl -fsS http://127.0.0.1:8000/install/agent.sh | TESSERA_AGENT_TOKEN=tse_" in told
    assert "tessera-agent enroll http://127.0.0.1:8000 tse_" in told
    assert "for others, start with `tessera up --lan`" in told
    assert "within 2 h" in told
    assert "at most 24 hours" in say("worker", "enroll-token", "--hours", "99", code=64)


def test_an_unknown_machine_is_told_with_the_nearest(say: Say, tell: Tell, data_dir: Path) -> None:
    enroll(data_dir, tell("worker", "enroll-token", "--name", "gaming-pc")["token"])
    assert "Did you mean gaming-pc?" in say("worker", "drain", "gamingpc", code=64)


def test_an_order_is_listed_explained_and_canceled(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    job_id = submit(data_dir, tell("user", "create", ada)["id"])
    [listed] = tell("job", "list", "--user", ada)
    assert (listed["id"], listed["state"], listed["model"]) == (str(job_id), "queued", "testcard")
    assert str(job_id) in say("job", "list", "--state", "queued")
    why = tell("job", "why", job_id)
    assert why["waiting"]["reason"] == "no_worker_for_model"
    assert why["waiting"]["position"] is not None
    told = say("job", "why", job_id)
    assert told.startswith("It waits: no worker for this model is connected")
    assert "No slot of any worker serves its lane." in told
    shown = tell("job", "show", job_id)
    assert (shown["user"], shown["attempts"], shown["artifacts"]) == (ada, [], [])
    assert "No worker has had it yet." in say("job", "show", job_id)
    assert say("job", "cancel", job_id) == "Canceled.\n"
    assert say("job", "cancel", job_id) == "There was nothing left to cancel: the job is canceled.\n"
    assert tell("job", "cancel", job_id)["state"] == "canceled"
    assert say("job", "why", job_id) == "It is over: canceled.\n"


def test_what_a_person_typed_is_never_shown(say: Say, tell: Tell, data_dir: Path) -> None:
    ada = name()
    job_id = submit(data_dir, tell("user", "create", ada)["id"])
    for words in (("job", "list"), ("job", "show", job_id), ("job", "why", job_id)):
        assert "secret wish" not in say(*words) + json.dumps(tell(*words))


def test_an_expired_order_says_why_it_ended(say: Say, tell: Tell, data_dir: Path) -> None:
    job_id = submit(data_dir, tell("user", "create", name())["id"], max_wait=0)
    assert len(on_database(data_dir, statements.expire)) == 1
    assert say("job", "why", job_id) == ("It expired: max_wait. The job did not start within its max_wait.\n")


def test_an_unknown_order_is_a_sentence(say: Say) -> None:
    assert "`tessera job list` shows what there is" in say("job", "show", uuid.uuid4(), code=64)


@pytest.mark.parametrize(
    ("what", "word", "misspelt"), [("model", "testcard", "testcrad"), ("lane", "1", "77"), ("submits", None, None)]
)
def test_a_switch_is_turned_off_and_on(say: Say, tell: Tell, what: str, word: str | None, misspelt: str | None) -> None:
    words = [word] if word else []
    assert tell("pause", what, *words)["paused"] is True
    assert "paused" in say("status", code=1 if what == "submits" else 0)
    assert "open again" in say("resume", what, *words)
    assert "paused" not in say("status")
    if misspelt:
        assert f"There is no {what} {misspelt}." in say("pause", what, misspelt, code=64)


def test_a_pause_keeps_its_reason_and_refuses_orders(say: Say, tell: Tell, data_dir: Path) -> None:
    say("pause", "submits", "--reason", "moving house")
    assert "paused: moving house" in say("status", code=1)
    user_id = tell("user", "create", name())["id"]

    async def refusal(database: Database) -> str | None:
        [row] = await admission.submit(database, [Order(user_id=UUID(user_id), lane_id=1, cost=1, spec=SPEC)])
        return row.refusal

    assert on_database(data_dir, refusal) == "paused"
    say("resume", "submits")
    assert on_database(data_dir, refusal) is None


def test_status_tells_what_waits_where(say: Say, tell: Tell, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_PORT", str(free_port()))
    before = {lane["id"]: lane["queued"] for lane in tell("status")["lanes"]}
    submit(data_dir, tell("user", "create", name())["id"])
    told = tell("status")
    assert {lane["id"]: lane["queued"] for lane in told["lanes"]} == {**before, 1: before[1] + 1}
    assert (told["running"], told["submits_paused"]) == (False, False)
    assert "no `tessera up` on this machine" in say("status")


def test_status_ends_with_1_while_somebody_should_look_and_says_where_to_read(
    say: Say, tell: Tell, data_dir: Path
) -> None:
    async def noted(database: Database, violations: int) -> None:
        await database.run(ledger.NOTE, {"violations": violations})

    on_database(data_dir, lambda database: noted(database, 2))
    told = say("status", code=1)
    assert "ATTENTION: 2 disagreements in the books." in told
    assert "runbook.md#money-looks-wrong" in told
    assert "All is well." not in told
    on_database(data_dir, lambda database: noted(database, 0))
    assert "All is well." in say("status")
    assert tell("status")["well"] is True


def test_an_incident_is_listed_and_acknowledged_until_it_is_over(say: Say, tell: Tell, data_dir: Path) -> None:
    assert say("incident", "list") == "Nothing is wrong.\n"
    now = datetime(2026, 11, 23, tzinfo=UTC)
    opened = decide([], [Trouble(kind="backup_failed", summary="The last backup failed.")], (), now)
    on_database(data_dir, lambda database: book.write(database, opened))
    [row] = tell("incident", "list")
    assert (row["kind"], row["acked_at"]) == ("backup_failed", None)
    say("incident", "ack", row["id"])
    assert "known" in say("incident", "list")
    [known] = on_database(data_dir, book.known)
    over = decide([known], [], (), now + timedelta(hours=1))
    on_database(data_dir, lambda database: book.write(database, over))
    assert say("incident", "list") == "Nothing is wrong.\n"
    assert [one["id"] for one in tell("incident", "list", "--all")] == [row["id"]]
    assert "There is no incident" in say("incident", "ack", row["id"], code=64)


def test_a_trial_of_telling_says_that_nobody_would_be_told(say: Say) -> None:
    say("incident", "test", code=78)


def test_check_shows_every_setting_and_trusts_a_sound_database(say: Say, tell: Tell, data_dir: Path) -> None:
    told = tell("check")
    assert told["problems"] == []
    assert told["settings"]["TESSERA_DATA_DIR"] == str(data_dir)
    assert say("check").endswith(f"All is well (PostgreSQL {told['postgresql']}).\n")


@pytest.fixture
def forgetful(data_dir: Path) -> Iterator[None]:
    """A database that confirms before it has written."""
    server = embedded.start(data_dir)
    with psycopg.connect(server.url(embedded.SUPERUSER), autocommit=True) as connection:
        connection.execute("alter role tessera_app set synchronous_commit = off")
        yield
        connection.execute("alter role tessera_app reset synchronous_commit")
    server.stop()


@pytest.mark.usefixtures("forgetful")
def test_check_refuses_a_database_that_forgets_what_it_has_confirmed(say: Say) -> None:
    assert "PROBLEM: synchronous_commit is off" in say("check", code=78)
    [problem] = json.loads(say("check", "--json", code=78))["problems"]
    assert problem.endswith("Set it to on.")


def test_check_says_when_the_disk_is_nearly_full(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_DISK_RESERVE_BYTES", str(2**50))
    assert "PROBLEM: Only" in say("check", code=78)


def test_migrating_twice_changes_nothing(say: Say, tell: Tell) -> None:
    say("user", "list")
    assert tell("migrate") == {"applied": []}
    assert say("migrate") == "The schema is up to date.\n"


def test_the_api_describes_itself_without_a_service(tell: Tell, say: Say) -> None:
    document = json.loads(say("openapi"))
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/jobs" in document["paths"]


def test_the_doctor_says_what_is_wrong_and_what_to_do(say: Say, tell: Tell, data_dir: Path) -> None:
    say("doctor")
    before = {check["name"]: check for check in tell("doctor")}
    assert {"python", "database", "schema", "roles", "clock", "store", "disk", "secrets"} <= set(before)
    assert all(check["cure"] for check in before.values() if check["result"] != "ok")
    (data_dir / "admin_key").write_text("tsk_secret")
    (data_dir / "admin_key").chmod(0o644)
    told = say("doctor", code=78)
    assert f"BAD  secrets     others may read {data_dir / 'admin_key'}" in told
    assert f"chmod 600 {data_dir / 'admin_key'}" in told
    assert "tsk_secret" not in told
    (data_dir / "admin_key").unlink()


def test_without_a_database_the_doctor_looks_at_the_rest(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    told = say("doctor", code=78)
    assert "BAD  database    cannot be used" in told
    assert "ok   python" in told

"""`tessera key` from the operator's side: test keys, rotation, caps and web sites."""

from __future__ import annotations

import json

from tests.fixtures.operator import Say, Tell, name


def test_a_test_key_is_made_on_its_first_wish_and_listed_with_its_account(say: Say, tell: Tell) -> None:
    ada = name()
    tell("user", "create", ada)
    accounts = len(tell("user", "list"))
    live, test = tell("key", "create", ada), tell("key", "create", ada, "--test")
    assert test["key"].startswith(f"tsr_test_{test['id']}_")
    assert [(key["id"], key["test"]) for key in tell("key", "list", ada)] == [(test["id"], True), (live["id"], False)]
    assert "(test)" in say("key", "list", ada)
    assert len(tell("user", "list")) == accounts, "a twin is no account"
    assert say("key", "revoke", test["key"]) == f"The key {test['id']} opens nothing any more.\n"
    for scope in ("admin", "payments"):
        assert f"cannot have {scope}" in say("key", "create", ada, "--test", "--scope", scope, code=64)
    words = ("key", "create", "--service", "bots", "--provider", "telegram", "--test")
    assert "belongs to an account" in say(*words, code=64)


def test_a_key_is_rotated_and_the_old_secret_works_on_for_as_long_as_is_said(say: Say, tell: Tell) -> None:
    ada = name()
    tell("user", "create", ada)
    made = tell("key", "create", ada, "--cap", "50", "--origin", "https://app.example")
    rotated = tell("key", "rotate", made["key"], "--overlap", "2.5")
    assert (rotated["id"], rotated["overlap_hours"]) == (made["id"], 2.5)
    assert rotated["key"] != made["key"]
    [listed] = tell("key", "list", ada)
    assert (listed["daily_cap"], listed["origins"]) == (50, ["https://app.example"])
    assert listed["old_expires_at"] is not None
    assert rotated["key"] not in json.dumps(listed)
    assert say("key", "rotate", made["id"], "--overlap", "0").startswith(f"tsk_{made['id']}_")
    assert tell("key", "list", ada)[0]["old_expires_at"] is None
    assert "from 0 to 168" in say("key", "rotate", made["id"], "--overlap", "169", code=64)
    assert "There is no live key" in say("key", "rotate", "0" * 12, code=64)
    assert "no web site" in say("key", "create", ada, "--origin", "https://*.example", code=64)
    assert "number of tokens" in say("key", "create", ada, "--cap", "0", code=64)

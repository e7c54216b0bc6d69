"""What `tessera check` says about the place where artifacts lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.bucket import SECRET_KEY, Bucket
from tests.fixtures.operator import Say, Tell
from tests.fixtures.worker import free_port

VARIABLE = "TESSERA_ARTIFACTS_URL"


def test_check_tries_the_bucket_and_says_what_it_asks_of_the_network(
    say: Say, tell: Tell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, bucket.url)
    told = tell("check")
    assert told["problems"] == []
    [note] = [note for note in told["notes"] if "sent straight to" in note]
    assert f"s3://{bucket.name}/some/prefix at {bucket.endpoint}" in note
    assert bucket.names() == [], "the trial has left nothing"
    assert SECRET_KEY not in say("check")

    monkeypatch.setenv(VARIABLE, bucket.url + "&direct=no")
    assert "go through this service" in say("check")


def test_check_says_what_is_wrong_with_the_bucket(say: Say, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, bucket.url.replace(bucket.name, "no-such-bucket"))
    assert "PROBLEM: Tessera cannot write to s3://no-such-bucket/some/prefix" in (told := say("check", code=78))
    assert "it says NoSuchBucket." in told
    monkeypatch.setenv(VARIABLE, f"s3://x/?region=x&endpoint=http://127.0.0.1:{free_port()}")
    assert "it does not answer" in say("check", code=78)
    monkeypatch.setenv(VARIABLE, f"s3://key:{SECRET_KEY}@bucket/x")
    assert SECRET_KEY not in say("check", code=78)


def test_check_says_when_the_folder_cannot_be_written(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(VARIABLE, f"file://{tmp_path}/file")
    assert f"PROBLEM: Tessera cannot write to the folder {tmp_path}/file: file exists." in say("check", code=78)

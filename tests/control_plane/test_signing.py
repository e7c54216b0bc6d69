from __future__ import annotations

from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from control_plane.errors import Forbidden
from control_plane.signing import SigningKeys, artifact_url, check

JOB = UUID("01890000-0000-7000-8000-000000000001")
OTHER = UUID("01890000-0000-7000-8000-000000000002")
NOW = 1_800_000_000.0


@pytest.fixture
def keys() -> SigningKeys:
    keys = SigningKeys()
    keys.replace([b"1" * 32, b"0" * 32], NOW)
    return keys


def signed(keys: SigningKeys, lifetime_seconds: float = 600, now: float = NOW) -> tuple[int, str]:
    url = artifact_url(keys, "https://tessera.example", JOB, 2, lifetime_seconds, now)
    query = parse_qs(urlsplit(url).query)
    return int(query["expires"][0]), query["signature"][0]


def test_an_address_is_absolute_and_names_job_and_index(keys: SigningKeys) -> None:
    url = artifact_url(keys, "https://tessera.example/under", JOB, 2, 600, NOW)
    assert url.startswith(f"https://tessera.example/under/artifacts/{JOB}/2?expires=")


def test_an_address_is_good_for_its_lifetime_and_hardly_longer(keys: SigningKeys) -> None:
    expires, signature = signed(keys)
    check(keys, JOB, 2, expires, signature, NOW + 599.9)
    with pytest.raises(Forbidden, match="expired"):
        check(keys, JOB, 2, expires, signature, NOW + 660)


def test_an_address_asked_for_again_is_the_same_so_that_caches_hit(keys: SigningKeys) -> None:
    assert signed(keys, now=NOW + 1) == signed(keys, now=NOW + 30)


@pytest.mark.parametrize(
    ("job_id", "index", "longer"), [(OTHER, 2, 0), (JOB, 3, 0), (JOB, 2, 60), (JOB, 2, -(10**10)), (JOB, 2, 2**50)]
)
def test_whatever_is_changed_the_address_opens_nothing(
    keys: SigningKeys, job_id: UUID, index: int, longer: int
) -> None:
    expires, signature = signed(keys)
    with pytest.raises(Forbidden, match="changed"):
        check(keys, job_id, index, expires + longer, signature, NOW)


@pytest.mark.parametrize("signature", ["", "0" * 64, "é", "\x00"])
def test_a_made_up_signature_opens_nothing(keys: SigningKeys, signature: str) -> None:
    expires, _ = signed(keys)
    with pytest.raises(Forbidden, match="changed"):
        check(keys, JOB, 2, expires, signature, NOW)


def test_every_key_verifies_and_the_first_signs(keys: SigningKeys) -> None:
    old = SigningKeys()
    old.replace([b"0" * 32], NOW)
    expires, signature = signed(old)
    check(keys, JOB, 2, expires, signature, NOW)
    assert signed(keys)[1] != signature

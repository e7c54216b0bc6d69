"""The private authority: who its certificates are for, how long they stay the same, and who may read its keys."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from control_plane.authority import Papers, addresses, fingerprint, key_pin, papers


def greeted(found: Papers, trusted: str, name: str) -> str:
    """What a client that trusts this authority alone hears from a server with these papers."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(found.certificate, found.key)
    client = ssl.create_default_context(cadata=trusted)
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 has it by itself
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as spoken:
                spoken.sendall(b"hello")
        except (ssl.SSLError, OSError):
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(theirs, server_hostname=name) as heard:
            return heard.recv(16).decode()
    finally:
        theirs.close()
        thread.join()


def test_it_vouches_for_exactly_the_names_that_were_asked_for(tmp_path: Path) -> None:
    found = papers(tmp_path, ["192.168.1.5", "den.local", "::1"])
    trusted = found.authority.read_text()
    for name in ("192.168.1.5", "den.local", "::1"):
        assert greeted(found, trusted, name) == "hello"
    for name in ("192.168.1.6", "www.example"):
        with pytest.raises(ssl.SSLCertVerificationError):
            greeted(found, trusted, name)


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    found, other = papers(tmp_path / "a", ["127.0.0.1"]), papers(tmp_path / "b", ["127.0.0.1"])
    assert found.fingerprint != other.fingerprint
    with pytest.raises(ssl.SSLCertVerificationError):
        greeted(found, other.authority.read_text(), "127.0.0.1")


def test_the_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    found = papers(tmp_path, ["127.0.0.1"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in found.key.parent.iterdir()}
    assert modes == {"ca.pem": 0o644, "service.pem": 0o644, "ca_key.pem": 0o600, "service_key.pem": 0o600}
    assert stat.S_IMODE(found.key.parent.stat().st_mode) == 0o700


def test_what_was_pinned_stays_when_the_address_changes(tmp_path: Path) -> None:
    first = papers(tmp_path, ["192.168.1.5"])
    certificate, authority = first.certificate.read_text(), first.authority.read_text()
    again = papers(tmp_path, ["192.168.1.5"])
    assert again.certificate.read_text() == certificate, "what is good is not made anew"
    moved = papers(tmp_path, ["192.168.1.9"])
    assert moved.certificate.read_text() != certificate
    assert moved.authority.read_text() == authority
    assert key_pin(moved.certificate.read_text()) == key_pin(certificate)
    assert greeted(moved, authority, "192.168.1.9") == "hello"


def test_what_is_broken_or_somebody_elses_is_made_anew(tmp_path: Path) -> None:
    found = papers(tmp_path / "a", ["127.0.0.1"])
    other = papers(tmp_path / "b", ["127.0.0.1"])
    for wrong in ("no certificate", other.certificate.read_text()):
        found.certificate.write_text(wrong)
        assert greeted(papers(tmp_path / "a", ["127.0.0.1"]), found.authority.read_text(), "127.0.0.1") == "hello"


def test_this_machine_knows_names_for_itself() -> None:
    known = addresses()
    assert {"localhost", "127.0.0.1", "::1", socket.gethostname()} <= set(known)
    assert len(known) == len(set(known))


def test_a_fingerprint_is_the_one_that_browsers_show(tmp_path: Path) -> None:
    pem = papers(tmp_path, ["127.0.0.1"]).authority.read_text()
    assert len(bytes.fromhex(fingerprint(pem))) == 32

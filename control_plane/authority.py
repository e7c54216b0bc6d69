"""A private certificate authority for a household, and the certificate that it gives to this service.

Nobody outside can vouch for `https://192.168.1.5`, so `tessera up --lan` makes an authority of its own, once, in
`data_dir/tls` (keys 0600). Agents trust exactly that one: the enrolment token carries its fingerprint. It can speak for
nothing but what is listed when it signs, and may sign no further authorities. The key of the service stays the same
when its certificate is made anew (other addresses, or near its end), so that a pinned key goes on to fit.

Certificates live by this machine's clock (RFC 5280); an hour is allowed for clocks that are behind.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = "tls"
AUTHORITY, SERVICE = "ca.pem", "service.pem"
AUTHORITY_DAYS = 3_650
SERVICE_DAYS = 800
"""Apple's systems refuse more than 825."""
RENEW_DAYS = 60
BEHIND = datetime.timedelta(hours=1)
CURVE = ec.SECP256R1
SOMEWHERE = ("192.0.2.1", 9)
"""TEST-NET-1 (RFC 5737): nothing is sent; the system only says which of our addresses it would use."""


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a service that the authority vouches for."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.authority.read_text())


def papers(data_dir: Path, names: Sequence[str]) -> Papers:
    """Those in `data_dir`, made or renewed as needed, good for `names` (host names and addresses)."""
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Papers(authority=folder / AUTHORITY, certificate=folder / SERVICE, key=folder / "service_key.pem")
    authority_key = _key(folder / "ca_key.pem")
    if not made.authority.exists():
        _write(made.authority, _pem(_authority(authority_key)), 0o644)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    key = _key(made.key)
    if not _is_good(made.certificate, names, authority):
        _write(made.certificate, _pem(_service(key, names, authority, authority_key)), 0o644)
    return made


def addresses() -> list[str]:
    """By which this machine is known in its network, the most likely one first; then names that mean it."""
    found: list[str] = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(SOMEWHERE)
        found.append(str(probe.getsockname()[0]))
    name = socket.gethostname()
    with suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    names = [name, f"{name.partition('.')[0]}.local", "localhost", "127.0.0.1", "::1"]
    lasting = [address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_link_local]
    return list(dict.fromkeys([*lasting, *names]))


def fingerprint(pem: str) -> str:
    """SHA-256 of the certificate, as browsers show it, in lower case without colons."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


def key_pin(pem: str) -> str:
    """Of the key in a certificate (RFC 7469, section 2.4)."""
    spoken = x509.load_pem_x509_certificate(pem.encode()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spoken.public_bytes(serialization.Encoding.DER, form))
    return base64.b64encode(digest.finalize()).decode()


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Tessera of {socket.gethostname()}"[:64])])
    return (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _service(
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tessera")])
    return (
        _builder(subject, authority.subject, key.public_key(), SERVICE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEHIND)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(path: Path, names: Sequence[str], authority: x509.Certificate) -> bool:
    """Whether the certificate there is ours, speaks for all of the names and will for a while."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        found.verify_directly_issued_by(authority)
    except Exception:  # whatever is wrong with it, another one is made
        return False
    spoken = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS)
    return found.not_valid_after_utc > soon and set(map(_name, names)) <= set(spoken)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        return x509.DNSName(name)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The one in the file, which is made if there is none."""
    if not path.exists():
        form, sealed = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        made = ec.generate_private_key(CURVE())
        _write(path, made.private_bytes(serialization.Encoding.PEM, form, sealed), 0o600)
    found = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey), "we have made it ourselves"
    return found


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by more than meant."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)

"""The units as systemd runs them: a bare Debian is booted, the installer is run in it, and the service is used at
its https address, behind Caddy and then behind nginx, while its processes are restarted, killed and hung."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.debian import SOURCE, Booted, bare, booted

PACKAGES = ("systemd", "systemd-sysv", "dbus", "curl", "procps")
DOMAIN = "localhost"
"""Caddy signs that name by itself; for every other it asks an authority in the Internet."""
CADDY_ROOT = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
WHEELS = "/srv/wheels"
INSTALL = ("sh", f"{SOURCE}/ops/install.sh")
BOTS = "/var/lib/tessera-bots"
STAY = ("tessera@8000", "tessera@8001", "tessera-agent", "caddy")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """What comes from elsewhere is brought first, and nothing is started; then it is booted without any way out."""
    root = bare(tmp_path_factory.mktemp("machine") / "root", *PACKAGES)
    with booted(root, alone=False) as first:
        quiet = root / "usr/sbin/policy-rc.d"  # no daemon starts by itself, since this network is everybody's
        quiet.write_text("#!/bin/sh\nexit 101\n")
        quiet.chmod(0o755)
        first.run(*INSTALL, "--domain", DOMAIN, "--bots", "--no-start")
        first.run("apt-get", "install", "--yes", "--no-install-recommends", "nginx-light", "openssl")
        first.run("systemctl", "disable", "nginx")
        first.run(
            *("/opt/tessera/current/bin/python", "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={WHEELS}"),
            *("--require-hashes", "--only-binary=:all:", f"--requirement={SOURCE}/ops/requirements-agent.lock"),
        )
        quiet.unlink()
    with booted(root, alone=True) as second:
        yield second


def used(machine: Booted, authority: str) -> dict[str, Any]:
    said = machine.run("python3", f"{SOURCE}/tests/system/bare/booted.py", DOMAIN, authority)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def holds(found: dict[str, Any]) -> None:
    """What is promised to everybody behind a proxy of ours."""
    assert found["tls"]["version"] in ("TLSv1.2", "TLSv1.3")
    assert ["DNS", DOMAIN] in found["tls"]["names"]
    assert found["plain"]["status"] in (301, 308)
    assert found["plain"]["location"].startswith(f"https://{DOMAIN}/docs?x=1")
    ready = found["ready"]
    assert (ready["status"], ready["said"]["status"]) == (200, "ok")
    assert [value for name, value in ready["headers"].items() if name.lower() == "strict-transport-security"] == [
        "max-age=31536000"
    ]
    assert found["metrics"]["status"] == 403, "a proxy on this machine does not make a stranger a neighbour"
    picture = found["picture"]
    assert (picture["status"], picture["scheme"], picture["host"]) == ("succeeded", "https", DOMAIN)
    assert (picture["fetched"]["status"], picture["fetched"]["said"]["bytes"] > 1_000) == (200, True)
    stream = found["stream"]
    assert (stream["status"], bool(stream["first"].strip())) == (200, True)
    assert stream["seconds"] < 2, "nobody keeps the beginning of a stream"
    assert "job." in stream["event"]
    assert stream["event_seconds"] < 5
    assert found["upload"]["status"] in (415, 422), (
        "three megabytes reach the service, which finds that it is no picture"
    )
    for done in ("restart", "killed"):
        assert found[done]["other"] == [], f"nobody notices: {done}"
        assert found[done]["asked"] > 20
    assert found["watchdog"] == {"said": True, "state": "active"}


def test_what_systemd_runs_is_used_by_https_and_nobody_notices_restarts_kills_and_hangs(machine: Booted) -> None:
    said = machine.run(*INSTALL, "--domain", DOMAIN)
    assert "apt-get" not in said, "all of it was there"
    assert "pip" not in said
    machine.run("systemctl", "enable", "--now", "tessera@8001")
    machine.run("cp", CADDY_ROOT, "/usr/local/share/ca-certificates/caddy.crt")
    machine.run("update-ca-certificates")

    token = json.loads(machine.run("tessera", "worker", "enroll-token", "--name", "den", "--json"))["token"]
    line = f"curl -fsS https://{DOMAIN}/install/agent.sh | TESSERA_AGENT_TOKEN={token} sh -s -- --system"
    machine.run("sh", "-c", f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}; {line}")
    assert "accepts this worker" in machine.run("tessera-agent", "doctor")

    found = used(machine, CADDY_ROOT)
    holds(found)
    for unit in STAY:
        assert machine.run("systemctl", "is-active", unit).strip() == "active"
    owners = machine.run("sh", "-c", "ps -o user= -p $(systemctl show -p MainPID --value tessera@8000 tessera-agent)")
    assert sorted(owners.split()) == ["tessera", "tessera-agent"]
    files = f"/etc/tessera/credentials/* {BOTS}/credentials/*"
    secrets = machine.run("sh", "-c", f"cat {files} | grep -oE '[A-Za-z0-9_-]{{30,}}'")
    assert len(secrets.split()) >= 3
    assert [word for word in secrets.split() if word in found["logs"]] == []
    told = machine.tried("tessera", "status").stdout
    assert "answers at 127.0.0.1:8000" in told
    attention = [line for line in told.splitlines() if line.startswith("ATTENTION")]
    assert [line for line in attention if "the-certificate-ends" not in line] == [], "Caddy's is good for hours"


def test_backups_of_the_unit_are_proven_and_hold_what_belongs_to_the_bots(machine: Booted) -> None:
    key = machine.run("tessera", "backup", "key")
    [public] = set(re.findall(r"age1[a-z0-9]{50,}", key))
    settings = f'backup_url = "file:///var/backups/tessera"\\nbackup_recipient = "{public}"\\n'
    machine.run("sh", "-c", f"printf '{settings}' >>/etc/tessera/tessera.toml")
    machine.run("install", "-d", "-m", "0700", "-o", "tessera", "-g", "tessera", "/var/backups/tessera")
    machine.run("sh", "-c", f"printf 'a bot remembers' >{BOTS}/memory")
    machine.run("chown", "tessera-bots:", f"{BOTS}/memory")
    machine.run("chmod", "600", f"{BOTS}/memory")
    machine.run("systemctl", "restart", "tessera@8000", "tessera@8001")
    machine.run("systemctl", "enable", "--now", "tessera-backup.timer")
    machine.run("systemctl", "start", "tessera-backup")
    said = machine.run("journalctl", "--unit=tessera-backup", "--output=cat", "--no-pager")
    assert "Proven: read back, restored into an empty server" in said
    assert "left out" not in said.lower(), said
    [secret] = re.findall(r"AGE-SECRET-KEY-1[A-Z0-9]+", key)
    machine.run("sh", "-c", f"umask 077; echo '{secret}' >/root/key.txt")
    machine.run("systemctl", "stop", "tessera@8000", "tessera@8001")
    machine.run("sh", "-c", "cd /root && tessera restore /var/backups/tessera --identity key.txt --force", seconds=300)
    machine.run("systemctl", "start", "tessera@8000", "tessera@8001")
    held = machine.run("sh", "-c", "find /var/lib/tessera/restored -name memory -exec cat {} +")
    assert held == "a bot remembers"


def test_bots_start_after_the_control_plane_once_there_is_one_and_not_before(machine: Booted) -> None:
    machine.run("systemctl", "start", "tessera-bots")
    wanted = "--property=ActiveState,ConditionResult,After,UnitFileState"
    shown = machine.run("systemctl", "show", "tessera-bots", wanted)
    assert {"ActiveState=inactive", "ConditionResult=no", "UnitFileState=enabled"} <= set(shown.splitlines())
    assert {"tessera@8000.service", "tessera@8001.service"} <= set(re.findall(r"\S+@\S+", shown.replace("After=", "")))
    kept = machine.run("stat", "--format=%U %a", f"{BOTS}/credentials/api_key")
    assert kept.split() == ["tessera-bots", "600"]
    refused = machine.tried("tessera-bots", "setup", "--platform", "discord")
    assert "--token-file is missing" in refused.stderr, "the key of the service is there already, and is not asked for"


def test_behind_nginx_it_is_the_same(machine: Booted) -> None:
    machine.run("systemctl", "disable", "--now", "caddy")
    machine.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", f"/CN={DOMAIN}"),
        *("-addext", f"subjectAltName=DNS:{DOMAIN}", "-keyout", "/root/key.pem", "-out", "/root/certificate.pem"),
    )
    machine.run("cp", "/root/certificate.pem", "/usr/local/share/ca-certificates/own.crt")
    machine.run("update-ca-certificates")
    options = ("--proxy", "nginx", "--certificate", "/root/certificate.pem", "--key", "/root/key.pem")
    machine.run(*INSTALL, "--domain", DOMAIN, *options)
    machine.run("systemctl", "restart", "tessera-agent")
    holds(used(machine, "/root/certificate.pem"))
    ticks = json.loads(machine.tried("tessera", "check", "--launch", "--json").stdout)
    assert {tick["name"]: tick["found"] for tick in ticks if not tick["well"]} == {}


def test_a_second_run_changes_nothing_and_all_of_it_goes_again(machine: Booted) -> None:
    options = ("--proxy", "nginx", "--certificate", "/root/certificate.pem", "--key", "/root/key.pem")
    said = machine.run(*INSTALL, "--domain", DOMAIN, *options)
    assert re.findall(r"\+ (write|useradd|apt-get|rm|python3 -m venv)", said) == []
    machine.run("sh", f"{SOURCE}/ops/install-agent.sh", "--system", "--uninstall", "--purge")
    machine.run(*INSTALL, "--uninstall", "--purge")
    places = "/opt/tessera* /etc/tessera* /var/lib/tessera* /usr/local/bin/tessera*"
    assert machine.run("sh", "-c", f"ls -d {places} 2>/dev/null || true").split() == []
    units = machine.run("systemctl", "list-unit-files", "tessera*", "--no-legend")
    assert units.strip() == ""
    for user in ("tessera", "tessera-bots", "tessera-agent"):
        assert machine.tried("id", user).returncode != 0

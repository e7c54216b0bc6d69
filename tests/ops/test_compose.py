"""The service in containers, as far as it can be tried without building images: settings, secrets, roles, and order."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from control_plane import embedded, migrate
from control_plane.cli import program
from control_plane.settings import FIELDS, SECRETS, Settings, load, variable

OPS = Path(__file__).parents[2] / "ops"
FOLDER = OPS / "containers"
COMPOSE: dict[str, Any] = yaml.safe_load((OPS / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "tessera"}
GIVEN = {"DOMAIN": "pictures.example.org"}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text: str) -> str:
    """As compose fills it in, from `GIVEN`."""
    return _VARIABLE.sub(lambda found: GIVEN.get(found[1], found[3] if found[2] == "-" else ""), text)


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: filled(str(value)) for name, value in service.get("environment", {}).items()}


def settings(service: dict[str, Any], secrets: Path) -> Settings:
    given = {name: value.replace("/run/secrets", str(secrets)) for name, value in environment(service).items()}
    return load(given)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as the script makes it."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    made = subprocess.run(["sh", FOLDER / "secrets.sh", folder], check=True, capture_output=True, text=True)
    assert made.stdout.count("made ") == 3
    return folder


def test_every_variable_of_ours_is_a_setting_and_has_a_value_that_is_taken(secrets: Path) -> None:
    known = {variable(name) for name in FIELDS} | {f"{variable(name)}_FILE" for name in SECRETS}
    named = {name for service in OURS.values() for name in service.get("environment", {})}
    assert len(named) >= 8
    assert named <= known
    chosen = settings(SERVICES["control-plane"], secrets)
    assert chosen.database_url == (secrets / "database_url").read_text().strip()
    assert chosen.base_url == "https://pictures.example.org"
    [outside] = SERVICES["caddy"]["networks"]
    assert str(chosen.trusted_proxies) == filled(COMPOSE["networks"][outside]["ipam"]["config"][0]["subnet"])
    for name in ("backup", "control-plane"):
        assert settings(SERVICES[name], secrets).backup_url == "file:///backups"
    also = settings(SERVICES["backup"], secrets).backup_also
    mounted = {words.split(":")[1] for words in SERVICES["backup"]["volumes"]}
    assert {str(path) for path in also} == {str(secrets), "/bots"}
    assert "/bots" in mounted, "what bots remember is in the backup"


@pytest.mark.parametrize("name", sorted(name for name in OURS if "command" in OURS[name]))
def test_what_is_run_is_a_command_of_ours(name: str) -> None:
    words = OURS[name]["command"]
    assert words == ["--version"] or program.parser().parse_args(words)


def test_no_password_stands_in_the_file_and_everybody_has_only_those_secrets_that_they_name() -> None:
    for service in SERVICES.values():
        files = {value.removeprefix("/run/secrets/") for key, value in environment(service).items() if "_FILE" in key}
        assert files <= set(service.get("secrets", []))
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert "owner_database_url" not in SERVICES["control-plane"]["secrets"]
    assert {told["file"] for told in COMPOSE["secrets"].values()} == {f"./secrets/{it}" for it in COMPOSE["secrets"]}
    given = {key: value for service in SERVICES.values() for key, value in environment(service).items()}
    assert [key for key in given if "PASSWORD" in key] == ["POSTGRES_PASSWORD_FILE"]
    assert [value for value in given.values() if "postgresql://" in value] == []


def test_what_stays_up_says_whether_it_is_well_and_starts_after_what_it_needs() -> None:
    staying = [name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"]
    assert sorted(staying) == ["bots", "caddy", "control-plane", "postgres"]
    assert [name for name in staying if "healthcheck" not in SERVICES[name]] == []
    compile(SERVICES["control-plane"]["healthcheck"]["test"][-1], "probe", "exec")
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            stays = other in staying
            assert how == {"condition": "service_healthy" if stays else "service_completed_successfully"}
            assert stays or SERVICES[other]["restart"] == "no"


def test_only_the_proxy_can_be_reached_and_the_database_reaches_nobody() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["caddy"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["inside"]
    reached = {name for name, service in OURS.items() if service.get("network_mode") != "none"}
    assert reached == set(OURS) - {"control-plane-image"}
    assert all(OURS[name]["cap_drop"] == ["ALL"] for name in reached)
    assert SERVICES["bots"]["network_mode"] == "service:control-plane"
    assert "dynamic a control-plane 8000" in (FOLDER / "Caddyfile").read_text()


def test_what_it_builds_and_mounts_is_there() -> None:
    build = SERVICES["control-plane-image"]["build"]
    assert (OPS / build["context"] / build["dockerfile"]).exists()
    mounts = [filled(words).split(":") for service in SERVICES.values() for words in service.get("volumes", [])]
    assert {place for place, *_ in mounts if not place.startswith(".")} == set(COMPOSE["volumes"])
    assert all((OPS / place).exists() for place, *_ in mounts if place.startswith("./containers"))
    assert str(embedded.POSTGRES_MAJOR) in SERVICES["postgres"]["image"], "backups need programs as new as the server"


@pytest.mark.parametrize("script", ["secrets.sh", "roles.sh"])
def test_shellcheck_finds_nothing(script: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert shellcheck is not None, "it comes with the development environment"
    done = subprocess.run([shellcheck, "--shell=sh", FOLDER / script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_secrets_are_made_once_and_nobody_else_can_enter_their_folder(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(before) == set(COMPOSE["secrets"])
    assert len({value[-60:] for value in before.values()}) == 3
    assert subprocess.run(["sh", FOLDER / "secrets.sh", secrets], check=True, capture_output=True).stdout == b""
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Embedded]:
    """A server that has neither the database nor the roles yet."""
    server = embedded.start(tmp_path, {"fsync": "off"})
    try:
        with psycopg.connect(server.url(embedded.SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute("drop database tessera")
            connection.execute("drop owned by tessera_owner, tessera_app")
            connection.execute("drop role tessera_owner, tessera_app")
        yield server
    finally:
        server.stop()


def test_roles_and_database_are_made_once_and_a_new_password_is_taken(
    server: embedded.Embedded, secrets: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(secrets, tmp_path / "secrets"))
    environ = {"PGHOST": str(server.socket_folder), "PGUSER": embedded.SUPERUSER, "HOME": "/nowhere"}
    environ["PATH"] = f"{embedded.binaries()}{os.pathsep}/usr/bin:/bin"

    def run() -> dict[str, str]:
        done = subprocess.run(
            ["sh", FOLDER / "roles.sh", folder], env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return passwords(server)

    first = run()
    assert set(first) == {"tessera", "tessera_owner"}
    migrate.migrate(server.url("tessera_owner"))
    with psycopg.connect(server.url("tessera")) as application:
        assert application.execute("select count(*) from plans").fetchone() != (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("drop table plans")
    (folder / "database_url").write_text("postgresql://tessera:another-word@postgres/tessera\n")
    second = run()
    assert all(word.startswith("SCRAM-SHA-256$") for word in second.values())
    assert second["tessera"] != first["tessera"]
    with psycopg.connect(server.url("tessera")) as application:
        assert application.execute("select count(*) from plans").fetchone() != (0,)


def passwords(server: embedded.Embedded) -> dict[str, str]:
    """As the server keeps them, of the roles that have one."""
    with psycopg.connect(server.url(embedded.SUPERUSER, "postgres")) as connection:
        found = connection.execute("select rolname, rolpassword from pg_authid where rolpassword is not null")
        return {str(name): str(word) for name, word in found}

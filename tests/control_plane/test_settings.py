from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from control_plane import settings
from control_plane.settings import ConfigurationError, Settings

A_WRONG_VALUE = {
    "database_url": "mysql://x",
    "owner_database_url": "x",
    "port": "70000",
    "public_url": "tessera.example",
    "trusted_proxies": "10.0.0.0/99",
    "metrics_networks": "everybody",
    "hints": "perhaps",
    "log_level": "loud",
    "log_format": "xml",
    **dict.fromkeys(("google_client_id", "google_client_secret", "discord_client_id", "discord_client_secret"), "a b"),
}


def test_without_anything_set_the_defaults_hold() -> None:
    loaded = settings.load({})
    assert loaded == Settings()
    assert (loaded.host, loaded.port, loaded.base_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "tessera.toml"
    config.write_text('port = 9001\nlease_seconds = 90\nhints = false\ntrusted_proxies = ["10.0.0.0/8", "::1"]')
    loaded = settings.load({"TESSERA_CONFIG": str(config), "TESSERA_PORT": "9002"})
    assert (loaded.port, loaded.lease_seconds, loaded.hints) == (9002, 90.0, False)
    assert tuple(loaded.trusted_proxies) == (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize("name", settings.FIELDS)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str) -> None:
    if name in {
        "data_dir",
        "artifacts_dir",
        "policy",
        "workflows",
        "site",
        "host",
        "tls_host",
        "tls_certificate",
        "tls_key",
        "tls_authority",
        "backup_also",
    }:
        pytest.skip("any text is a path or a host name")
    variable = settings.variable(name)
    with pytest.raises(ConfigurationError, match=f"^{variable} .*must be ") as refused:
        settings.load({variable: A_WRONG_VALUE.get(name, "-1")})
    assert refused.value.exit_code == 78


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings.load({"TESSERA_PORT": "x", "TESSERA_LOG_LEVEL": "loud"})
    assert str(refused.value) == (
        "TESSERA_PORT is 'x', but must be a whole number from 0 to 65535.\n"
        "TESSERA_LOG_LEVEL is 'loud', but must be one of debug, error, info, warning."
    )


def test_a_secret_may_stand_in_a_file_and_is_never_repeated(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://tessera:hunter2@db/tessera\n")
    loaded = settings.load({"TESSERA_DATABASE_URL_FILE": str(secret)})
    assert loaded.database_url == "postgresql://tessera:hunter2@db/tessera"
    assert settings.effective(loaded)["TESSERA_DATABASE_URL"] == "postgresql://tessera:***@db/tessera"
    secret.write_text("hunter2")
    with pytest.raises(ConfigurationError) as refused:
        settings.load({"TESSERA_DATABASE_URL_FILE": str(secret)})
    assert "hunter2" not in str(refused.value)


def test_secrets_of_providers_are_never_shown_and_come_with_their_ids() -> None:
    chosen = {"TESSERA_DISCORD_CLIENT_ID": "17", "TESSERA_DISCORD_CLIENT_SECRET": "hunter2"}
    token = {"TESSERA_TELEGRAM_LOGIN_TOKEN": "123456:hunter2-hunter2"}
    shown = settings.effective(settings.load(chosen | token))
    assert "hunter2" not in str(shown)
    assert shown["TESSERA_DISCORD_CLIENT_SECRET"] == shown["TESSERA_TELEGRAM_LOGIN_TOKEN"] == "***"
    with pytest.raises(ConfigurationError, match="DISCORD_CLIENT_ID and TESSERA_DISCORD_CLIENT_SECRET belong together"):
        settings.load({"TESSERA_DISCORD_CLIENT_ID": "17"})
    with pytest.raises(ConfigurationError, match="as BotFather gives it") as refused:
        settings.load({"TESSERA_TELEGRAM_LOGIN_TOKEN": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_misspelt_variable_is_an_error_that_names_the_right_one() -> None:
    with pytest.raises(ConfigurationError, match=r"TESSERA_LEASE_SECOND .*mean TESSERA_LEASE_SECONDS\?"):
        settings.load({"TESSERA_LEASE_SECOND": "60"})


def test_a_misspelt_key_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("prot = 1")
    with pytest.raises(ConfigurationError, match=r"no setting 'prot'. Did you mean port\?"):
        settings.load({"TESSERA_CONFIG": str(tmp_path / "c.toml")})


def test_the_variables_of_the_other_programs_are_left_alone() -> None:
    others = ["URL", "API_KEY", "AGENT_DATA_DIR", "TEST_DSN", "BOTS_CONFIG", "SOMETHING_ELSE_ENTIRELY"]
    assert settings.load({f"TESSERA_{name}": "x" for name in others}) == Settings()


@pytest.mark.parametrize("named", ["TESSERA_CONFIG", "TESSERA_DATABASE_URL_FILE"])
def test_a_file_that_cannot_be_read_is_told(named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings.load({named: str(tmp_path / "missing")})


def test_an_agent_must_give_up_before_its_lease_can_be_given_away() -> None:
    with pytest.raises(ConfigurationError, match="two agents"):
        settings.load({"TESSERA_SELF_FENCE_SECONDS": "60"})


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000"), ("box", "http://box:8000")],
)
def test_an_address_to_listen_on_becomes_one_to_visit(host: str, url: str) -> None:
    assert settings.load({"TESSERA_HOST": host, "TESSERA_PLAIN_HTTP": "true"}).base_url == url


def test_the_public_url_is_used_without_its_last_slash() -> None:
    assert settings.load({"TESSERA_PUBLIC_URL": "https://t.example/"}).base_url == "https://t.example"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TESSERA_HOST": "0.0.0.0"}, "--plain-http"),
        ({"TESSERA_HOST": "192.168.1.5"}, "tessera up --lan"),
        ({"TESSERA_TLS_CERTIFICATE": "/c.pem"}, "TESSERA_TLS_KEY belong together"),
        ({"TESSERA_TLS_CERTIFICATE": "/c.pem", "TESSERA_TLS_KEY": "/k.pem"}, "set TESSERA_PUBLIC_URL to the https://"),
    ],
)
def test_nothing_leaves_this_machine_in_the_clear_unless_somebody_says_so(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        settings.load(environ)


def test_what_stays_here_or_was_asked_for_may_be_http() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert settings.load({"TESSERA_HOST": host}).host == host
    assert settings.load({"TESSERA_HOST": "0.0.0.0", "TESSERA_PLAIN_HTTP": "true"}).plain_http

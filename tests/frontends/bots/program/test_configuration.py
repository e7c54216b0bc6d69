"""One file says which bots there are; secrets are their user's alone, and whoever errs is told what to do."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from frontends.bots.configuration import ConfigurationError, application_of, config_file, load
from frontends.bots.settings import DiscordSettings, TelegramSettings

DISCORD_TOKEN = base64.b64encode(b"4000000001").decode().rstrip("=") + ".abc.defghijklmnop"
FILE = """
url = "http://127.0.0.1:8000"
name = "Lighthouse"

[telegram]
api_id = 7

[[bot]]
name = "painter"
platform = "telegram"
makes = "image"

[[bot]]
name = "film"
platform = "discord"
makes = "video"
"""
SECRETS = {"api_key": "tsk_1", "telegram_api_hash": "hash", "painter_token": "4:x", "film_token": DISCORD_TOKEN}

Written = Callable[..., dict[str, str]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """The environment of a program with these files."""

    def write(text: str = FILE, *, folder: str = "credentials", mode: int = 0o600, **secrets: str) -> dict[str, str]:
        file = tmp_path / "bots.toml"
        file.write_text(text)
        file.chmod(0o644)
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, secret in secrets.items():
            (tmp_path / folder / name).write_text(secret + "\n")
            (tmp_path / folder / name).chmod(mode)
        return {"TESSERA_BOTS_CONFIG": str(file)}

    return write


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load(environ)
    assert refused.value.exit_code == 78
    return str(refused.value).splitlines()


def test_any_number_of_bots_come_from_one_file(written: Written, tmp_path: Path) -> None:
    settings = load(written(**SECRETS))
    painter, film = settings.bots
    assert painter == TelegramSettings(
        name="painter", makes="image", token="4:x", api_id=7, api_hash="hash", folder=tmp_path / "telegram"
    )
    assert film == DiscordSettings(name="film", makes="video", token=DISCORD_TOKEN, application_id=4000000001)
    assert (settings.name, settings.api_key, settings.dir) == ("Lighthouse", "tsk_1", tmp_path)


def test_no_secret_is_in_what_settings_show_of_themselves(written: Written) -> None:
    settings = load(written(**SECRETS))
    shown = f"{settings!r} {settings.bots!r} {settings.bots[0]!r}"
    assert "painter" in shown
    assert not any(secret in shown for secret in SECRETS.values())


def test_the_environment_wins_over_the_file(written: Written) -> None:
    environ = written('port = 9000\nlog_level = "debug"\n' + FILE, **SECRETS)
    settings = load({**environ, "TESSERA_BOTS_PORT": "9001", "TESSERA_BOTS_API_KEY": "tsk_2"})
    assert (settings.port, settings.log_level, settings.api_key) == (9001, "debug", "tsk_2")


def test_secrets_may_come_from_the_folder_of_systemd(written: Written, tmp_path: Path) -> None:
    environ = written(folder="systemd", mode=0o440, **SECRETS)  # as its access lists look to `stat`
    assert load({**environ, "CREDENTIALS_DIRECTORY": str(tmp_path / "systemd")}).api_key == "tsk_1"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_that_others_can_read_is_refused(written: Written, tmp_path: Path, mode: int) -> None:
    environ = written(**SECRETS)
    file = tmp_path / "credentials" / "painter_token"
    file.chmod(mode)
    told = faults(environ)
    assert f"{file} holds secrets and can be read by others on this machine. Run: chmod 600 {file}" in told


def test_a_file_with_secrets_in_it_has_to_be_its_users_alone(written: Written, tmp_path: Path) -> None:
    environ = written(FILE.replace('name = "film"', f'name = "film"\ntoken = "{DISCORD_TOKEN}"'), **SECRETS)
    assert "chmod 600" in faults(environ)[0]
    (tmp_path / "bots.toml").chmod(0o600)
    assert load(environ).bots[1].token == DISCORD_TOKEN


def test_everything_wrong_is_told_at_once_and_with_what_to_do(written: Written) -> None:
    told = "\n".join(faults(written('prot = 3\nport = "x"\n' + FILE.replace('"video"', '"film"'))))
    assert "there is no setting 'prot'. There are: url," in told
    assert "port in" in told
    assert "must be a port from 0 to 65535" in told
    assert "[[bot]] 2: Invalid enum value 'film'" in told
    assert "no token of the bot 'painter': put it into" in told
    assert "https://my.telegram.org" in told
    assert "tessera key create --service bots --provider telegram" in told


def test_two_bots_of_one_name_are_refused(written: Written) -> None:
    told = faults(written(FILE.replace('"film"', '"painter"'), **SECRETS, painter_token2=""))
    assert any("two bots 'painter'" in fault for fault in told)


def test_a_token_that_is_none_of_discords_is_told(written: Written) -> None:
    told = faults(written(**{**SECRETS, "film_token": "4:x"}))
    assert told == [
        "The token of the bot 'film' is none of Discord's. It stands at https://discord.com/developers/applications"
        " under Bot."
    ]


@pytest.mark.parametrize("where", ["example.com:443:443", "127.0.0.1:443", "127.0.0.1:a:b"])
def test_a_stand_in_is_on_this_machine_or_refused(written: Written, where: str) -> None:
    told = faults(written(FILE.replace("api_id = 7", f'api_id = 7\ndata_centre = "{where}"'), **SECRETS))
    assert len(told) == 1
    assert "must be host:port:media_port" in told[0]


def test_without_a_file_people_are_sent_to_setup(tmp_path: Path) -> None:
    environ = {"TESSERA_BOTS_CONFIG": str(tmp_path / "none.toml")}
    assert faults(environ) == [f"There is no {tmp_path / 'none.toml'} yet. Run: tessera-bots setup"]
    assert config_file({}).name == "bots.toml"
    assert config_file({}).is_absolute()


def test_a_file_without_bots_says_how_to_add_one(written: Written) -> None:
    assert any("has no [[bot]] yet. Run: tessera-bots setup" in fault for fault in faults(written("", api_key="x")))


def test_an_unreadable_file_is_told_in_a_sentence(written: Written, tmp_path: Path) -> None:
    assert "cannot be read" in faults(written("url = "))[0]
    os.unlink(tmp_path / "bots.toml")
    (tmp_path / "bots.toml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in faults({"TESSERA_BOTS_CONFIG": str(tmp_path / "bots.toml")})[0]


def test_a_token_names_its_application() -> None:
    assert application_of(DISCORD_TOKEN) == 4000000001
    assert application_of("123:abc") is None

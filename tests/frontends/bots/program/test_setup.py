"""Setting bots up: by a person on a terminal and by a script, against both platforms through the genuine libraries."""

from __future__ import annotations

import asyncio
import os
import pty
import stat
import sys
import tty
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from frontends.bots.configuration import load
from frontends.bots.settings import DiscordSettings, TelegramSettings
from frontends.standins.discord import Discord
from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES, Plane

WITHIN_SECONDS = 30.0
LANGUAGES = ("en", "de", "es", "ru", "zh")


@pytest.fixture
async def key(control_plane: Plane) -> str:
    return await control_plane.service_key("telegram", "discord", scopes=BOTS_SCOPES)


class Terminal:
    """A person in front of the program."""

    def __init__(self, master: int, process: Process) -> None:
        self.process = process
        self.seen = ""
        self._master = master
        self._read = 0
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._take)

    def _take(self) -> None:
        try:
            self.seen += os.read(self._master, 65_536).decode(errors="replace")
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._master)
        self._changed.set()

    async def sees(self, text: str) -> None:
        """That this comes, after everything that was waited for before."""
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while (at := self.seen.find(text, self._read)) < 0:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} does not come. On the screen:\n{self.seen}") from None
        self._read = at + len(text)

    async def answers(self, question: str, text: str) -> None:
        await self.sees(question)
        os.write(self._master, (text + "\n").encode())

    async def ends(self) -> int:
        async with asyncio.timeout(WITHIN_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def terminal(folder: Path, *options: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    tty.setcbreak(slave)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "frontends.bots", "setup", *options),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TESSERA_BOTS_CONFIG": str(folder / "bots.toml")},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


async def script(folder: Path, *options: str, typed: str = "") -> tuple[int, str, str]:
    """Exit code, output and complaints of a run without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "frontends.bots", "setup", *options),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | {"TESSERA_BOTS_CONFIG": str(folder / "bots.toml")},
    )
    async with asyncio.timeout(WITHIN_SECONDS):
        out, complaints = await process.communicate(typed.encode())
    assert process.returncode is not None
    assert "Traceback" not in complaints.decode()
    return process.returncode, out.decode(), complaints.decode()


def data_centre(telegram: Telegram) -> str:
    return f"127.0.0.1:{telegram.wire.port}:{telegram.wire.media_port}"


def secret(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text + "\n")
    return str(folder / name)


def are_private(folder: Path) -> bool:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder / "credentials").iterdir()]
    return bool(modes) and set(modes) == {0o600} and stat.S_IMODE((folder / "credentials").stat().st_mode) == 0o700


async def test_a_person_sets_up_a_bot_on_each_platform(
    control_plane: Plane, key: str, telegram: Telegram, discord: Discord, tmp_path: Path
) -> None:
    painter, film = telegram.bot("painter_bot"), discord.bot("Film")
    where = ("--data-centre", data_centre(telegram), "--rest-url", discord.rest_url)
    async with terminal(tmp_path, *where) as person:
        await person.answers("Its address [http://127.0.0.1:8000]: ", control_plane.url)
        await person.answers("Its key: ", "tsk_wrong")
        await person.sees("does not know this key")
        await person.answers("Its key: ", key)
        await person.answers("What do the bots call it? [Tessera]: ", "Lighthouse")
        await person.answers("web site", "not an address")
        await person.sees("That must be an absolute URL")
        await person.answers("web site", "")
        await person.answers("write to", "@ada")

        await person.answers("A bot on telegram or discord?", "telegram")
        await person.answers("image or video? [image]: ", "")
        await person.answers("[telegram-image]: ", "painter")
        await person.answers("api_id: ", "seven")
        await person.sees("That must be a number")
        await person.answers("api_id: ", "7")
        await person.answers("api_hash: ", "abcdef")
        await person.answers("Token: ", "12345678:wrong")
        await person.sees("Telegram does not know this token")
        await person.answers("Token: ", painter.token)
        await person.sees("@painter_bot is let in, and its commands are registered.")
        await person.sees("https://t.me/painter_bot?startgroup=true")

        await person.answers("Another bot? [y/N]: ", "y")
        await person.answers("A bot on telegram or discord?", "discord")
        await person.answers("image or video? [image]: ", "video")
        await person.answers("[discord-video]: ", "film")
        await person.answers("Token: ", film.token)
        await person.answers(f"Application id [{film.id}]: ", "")
        await person.sees("Film is let in, and its commands are registered.")
        await person.sees("scope=bot+applications.commands&permissions=")
        await person.answers("Another bot? [y/N]: ", "")
        assert await person.ends() == 0
        shown = person.seen
    assert not any(text in shown for text in (key, painter.token, film.token, "abcdef")), "secrets are not shown"
    assert are_private(tmp_path)

    settings = load({"TESSERA_BOTS_CONFIG": str(tmp_path / "bots.toml")})
    assert (settings.name, settings.support, settings.url, settings.api_key) == (
        "Lighthouse",
        "@ada",
        control_plane.url,
        key,
    )
    on_telegram, on_discord = settings.bots
    assert isinstance(on_telegram, TelegramSettings)
    assert isinstance(on_discord, DiscordSettings)
    assert (on_telegram.name, on_telegram.token, on_telegram.api_id) == ("painter", painter.token, 7)
    assert (on_discord.name, on_discord.makes, on_discord.application_id) == ("film", "video", film.id)
    for bot in (painter, film):
        described = {language: bot.menu(language)[0].description for language in LANGUAGES}
        assert len(set(described.values())) == len(LANGUAGES), described


async def test_a_script_sets_up_bots_and_gives_one_a_new_token(
    control_plane: Plane, key: str, telegram: Telegram, discord: Discord, tmp_path: Path
) -> None:
    painter, again, film = telegram.bot("painter_bot"), telegram.bot("painter_two_bot"), discord.bot("Film")
    files = {"api_key": key, "api_hash": "abcdef", "film": film.token}
    named = {name: secret(tmp_path, name, text) for name, text in files.items()}
    service = ("--url", control_plane.url, "--api-key-file", named["api_key"])
    on_telegram = ("--platform", "telegram", "--makes", "image", "--name", "painter", "--token-file", "-")
    numbers = ("--api-id", "7", "--api-hash-file", named["api_hash"], "--data-centre", data_centre(telegram))
    code, out, said = await script(tmp_path, *service, *on_telegram, *numbers, typed=painter.token)
    assert (code, said) == (0, "")
    assert "people find it at: https://t.me/painter_bot" in out

    on_discord = ("--platform", "discord", "--makes", "video", "--name", "film", "--token-file", named["film"])
    code, out, said = await script(tmp_path, *on_discord, "--rest-url", discord.rest_url)
    assert (code, said) == (0, "")

    before = (tmp_path / "bots.toml").read_text()
    code, out, said = await script(tmp_path, *on_telegram, typed=again.token)
    assert (code, said) == (0, "")
    assert (tmp_path / "bots.toml").read_text() == before, "a new token is no new bot"
    settings = load({"TESSERA_BOTS_CONFIG": str(tmp_path / "bots.toml")})
    assert [(bot.name, bot.token) for bot in settings.bots] == [("painter", again.token), ("film", film.token)]
    assert are_private(tmp_path)


async def test_a_script_is_told_what_is_missing_or_refused_and_stores_none_of_it(
    control_plane: Plane, key: str, telegram: Telegram, discord: Discord, tmp_path: Path
) -> None:
    good = secret(tmp_path, "key", key)
    service = ("--url", control_plane.url, "--api-key-file", good)
    code, _, said = await script(tmp_path)
    assert (code, said.strip()) == (
        78,
        "tessera-bots: --api-key-file is missing: a file with a key of the service (tsk_…), or - for a line of"
        " standard input.",
    )
    small = await control_plane.service_key("telegram")
    code, _, said = await script(tmp_path, "--url", control_plane.url, "--api-key-file", "-", typed=small)
    assert code == 78
    assert "lacks the scope `payments`" in said
    code, _, said = await script(tmp_path, *service)
    assert (code, said.strip()) == (78, "tessera-bots: --platform is missing: telegram or discord.")

    bot = ("--platform", "telegram", "--makes", "image", "--name", "painter")
    numbers = ("--api-id", "7", "--api-hash-file", good, "--data-centre", data_centre(telegram))
    code, _, said = await script(tmp_path, *bot, *numbers, "--token-file", "-", typed="123:no")
    assert code == 78
    assert "Telegram does not know this token. Copy it from @BotFather" in said
    film = discord.bot("Film")
    on_discord = ("--platform", "discord", "--makes", "video", "--name", "film", "--rest-url", discord.rest_url)
    wrong = secret(tmp_path, "wrong", film.token[:-1] + "x")
    code, _, said = await script(tmp_path, *on_discord, "--token-file", wrong)
    assert code == 78
    assert "Discord does not know this token." in said
    right = secret(tmp_path, "right", film.token)
    code, _, said = await script(tmp_path, *on_discord, "--token-file", right, "--application-id", "17")
    assert f"This is the token of application {film.id}, not of 17." in said
    assert sorted(path.name for path in (tmp_path / "credentials").iterdir()) == ["api_key"]
    assert "[[bot]]" not in (tmp_path / "bots.toml").read_text()


async def test_privacy_mode_that_is_off_is_told_with_how_to_switch_it_on(
    control_plane: Plane, key: str, telegram: Telegram, tmp_path: Path
) -> None:
    curious = telegram.bot("curious_bot", privacy=False)
    token, good = secret(tmp_path, "token", curious.token), secret(tmp_path, "key", key)
    code, out, said = await script(
        tmp_path,
        *("--url", control_plane.url, "--api-key-file", good, "--platform", "telegram", "--makes", "image"),
        *("--name", "c", "--api-id", "7", "--api-hash-file", good, "--token-file", token),
        *("--data-centre", data_centre(telegram)),
    )
    assert (code, said) == (0, "")
    assert "To do: Privacy mode is off" in out
    assert "/setprivacy" in out

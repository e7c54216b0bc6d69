"""What the doctor says of a machine, with cures; the machine is programs on PATH and files under a root."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent import wsl
from agent.checkup import Check, comfyui, containers, machine, network
from agent.checkup import wsl as wsl_checks
from agent.settings import Settings
from tests.fixtures.certificates import Certificates
from tests.fixtures.machine import DRIVER_GONE, K80, RTX_2080, TITAN_PROCESSES, TITANS, Programs
from tests.standins.comfyui.server import standing_in

CDI_LIST = """\
time="2026-01-05T10:11:12Z" level=info msg="Found 3 CDI devices"
nvidia.com/gpu=0
nvidia.com/gpu=GPU-22b2c6ac-2d49-4863-197c-9c469071178a
nvidia.com/gpu=all"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path / "bin")
    found.alone(monkeypatch)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert all(check.cure for check in checks if check.result == "bad"), "whatever is bad has a cure"
    return {check.name: check for check in checks}


def settings(**fields: object) -> Settings:
    return msgspec.convert(fields, Settings)


async def test_every_card_is_named_with_what_it_is_at(programs: Programs) -> None:
    programs.nvidia_smi(RTX_2080)
    [check] = await machine.gpus(Settings(), wsl=False)
    assert (check.result, check.found) == ("ok", "GeForce RTX 2080, driver 440.64, 45 °C, 177 W, 86 %, 6.4 of 7.8 GiB")
    programs.nvidia_smi(K80)
    [check] = await machine.gpus(Settings(), wsl=False)
    assert (check.result, check.found) == ("ok", "Tesla K80, driver 470.182.03")


async def test_programs_that_hold_much_of_a_card_are_named_and_a_card_that_is_not_there_too(programs: Programs) -> None:
    programs.nvidia_smi(TITANS, TITAN_PROCESSES)
    first, _, third = await machine.gpus(Settings(slots=1, device="7"), wsl=False)
    assert (first.result, "process 153223: 4000 MiB" in first.found) == ("note", True)
    assert (third.result, third.found) == ("bad", "there is no card 7")


@pytest.mark.parametrize(("wsl", "cure"), [(True, "driver in Windows, not in Linux"), (False, "look at `nvidia-smi`")])
async def test_a_driver_that_does_not_answer_is_cured_where_it_lives(programs: Programs, wsl: bool, cure: str) -> None:
    programs.add("nvidia-smi", f"print({DRIVER_GONE!r}); sys.exit(9)")
    [check] = await machine.gpus(Settings(), wsl=wsl)
    assert (check.result, "couldn't communicate" in check.found, cure in check.cure) == ("note", True, True)
    [needed] = await machine.gpus(Settings(device="0"), wsl=wsl)
    assert needed.result == "bad"


async def test_wsl2_is_known_by_its_kernel_and_told_from_the_first_and_from_none(root: Path) -> None:
    assert not wsl.is_wsl(root)
    for kernel, is_one in (
        ("Linux version 5.15.167.4-microsoft-standard-WSL2 (root@f9c826d3017f)", True),
        ("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", False),
        ("Linux version 6.8.0-1018-azure (buildd@lcy02)", False),
    ):
        write(root, proc__version=kernel)
        assert wsl.is_wsl(root) == is_one


async def test_a_good_wsl2_is_good(programs: Programs, root: Path) -> None:
    write(root, proc__1__comm="systemd\n", etc__wsl_DOT_conf="[boot]\nsystemd=true\n")
    write(root, proc__sys__fs__binfmt_misc__WSLInterop="enabled\n")
    write(root, mnt__c__Users__ada___DOT_wslconfig="[wsl2]\nmemory=24GB # half\nnetworkingMode=mirrored\n")
    programs.add("wslpath", "print('\\\\\\\\wsl.localhost\\\\Ubuntu\\\\')")
    programs.add("wslinfo", "print('mirrored')")
    programs.add("schtasks.exe", "print('Ready')")
    facts = await wsl.look(None, root)
    assert (facts.distribution, facts.networking, facts.memory_limit) == ("Ubuntu", "mirrored", "24gb")
    found = by_name(await wsl_checks.checks(facts, memory_gib=23.4))
    assert {check.result for check in found.values()} == {"ok"}
    assert programs.calls("schtasks.exe") == [["/Query", "/TN", "Tessera agent (Ubuntu)"]]


async def test_what_keeps_wsl2_from_working_is_said_with_the_cure(programs: Programs, root: Path) -> None:
    write(root, proc__1__comm="init(Debian)\n", etc__wsl_DOT_conf="this is [no file of settings\n")
    write(root, proc__sys__fs__binfmt_misc__WSLInterop="enabled\n")
    programs.add("wslinfo", "print('none')")
    programs.add("schtasks.exe", "print('ERROR: The system cannot find the file specified.'); sys.exit(1)")
    found = by_name(await wsl_checks.checks(await wsl.look("Debian", root), memory_gib=7.6))
    assert {name: check.result for name, check in found.items()} == {
        "wsl": "ok",
        "wsl systemd": "note",
        "wsl network": "bad",
        "wsl memory": "note",
        "wsl stays": "note",
    }
    assert "systemd=true" in found["wsl systemd"].cure
    assert "memory=24GB" in found["wsl memory"].cure
    assert "install-service" in found["wsl stays"].cure
    write(root, etc__wsl_DOT_conf="[boot]\nsystemd = true\n", proc__sys__fs__binfmt_misc__WSLInterop="disabled\n")
    programs.add("wslinfo", "sys.exit(1)")
    found = by_name(await wsl_checks.checks(await wsl.look("Debian", root), memory_gib=7.6))
    assert "wsl --shutdown" in found["wsl systemd"].cure
    assert found["wsl stays"].found == "unknown"


async def test_without_podman_nothing_is_said_unless_a_container_is_wanted(programs: Programs, root: Path) -> None:
    assert await containers.checks(Settings(), root) == []
    [check] = await containers.checks(settings(comfyui_image="tessera-comfyui"), root)
    assert (check.result, "apt install podman" in check.cure) == ("bad", True)


@pytest.mark.parametrize(
    ("podman", "ctk", "image", "expected"),
    [
        ("4.9.3", CDI_LIST, 0, {"podman": "ok", "cdi": "ok", "image": "ok"}),
        ("5.4.2", 'level=info msg="Found 0 CDI devices"', 1, {"podman": "ok", "cdi": "bad", "image": "bad"}),
        ("3.4.4", CDI_LIST, 0, {"podman": "bad", "cdi": "ok"}),
    ],
)
async def test_podman_and_what_containers_see_of_the_gpu(
    programs: Programs, root: Path, podman: str, ctk: str, image: int, expected: dict[str, str]
) -> None:
    programs.add(
        "podman",
        f"print('podman version {podman}') if args == ['--version'] else sys.exit({image})",
    )
    programs.add("nvidia-ctk", f"print({ctk!r})")
    found = by_name(await containers.checks(settings(comfyui_image="tessera-comfyui"), root))
    assert {name: check.result for name, check in found.items()} == expected
    if expected["cdi"] == "bad":
        assert "nvidia-ctk cdi generate" in found["cdi"].cure


async def test_without_the_toolkit_the_files_of_cdi_are_looked_for(programs: Programs, root: Path) -> None:
    programs.add("podman", "print('podman version 4.9.3')")
    assert by_name(await containers.checks(Settings(), root))["cdi"].result == "note"
    write(root, etc__cdi__nvidia_DOT_yaml='cdiVersion: 0.5.0\nkind: "nvidia.com/gpu"\n')
    assert by_name(await containers.checks(Settings(), root))["cdi"].found == "/etc/cdi/nvidia.yaml"


async def test_comfyui_is_told_by_version_workflows_and_models(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "comfyui") as there:
        shelf = tmp_path / "models"
        shelf.mkdir()
        chosen = Settings(dir=tmp_path / "agent", comfyui_url=there.url, comfyui_models=shelf)
        found = by_name(await comfyui.checks(chosen))
        assert found["comfyui"].result == "ok"
        assert found["workflows"].result == "ok"
        assert " run here: " in found["workflows"].found
        assert "workflows have all their files" in found["models"].found
    assert await comfyui.checks(chosen) == [], "a silent one is the engine's matter"
    assert comfyui.version("0.3.10").result == comfyui.version("").result == "note"
    assert comfyui.version("0.4.0").result == "ok"


async def test_a_certificate_that_does_not_hold_and_an_address_where_nobody_is_are_told_apart(
    tmp_path: Path,
) -> None:
    own = Certificates(tmp_path, "localhost").server
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=own)
    port = server.sockets[0].getsockname()[1]
    refused = await network.encryption(f"https://localhost:{port}")
    server.close()
    await server.wait_closed()
    nobody = await network.encryption(f"https://localhost:{port}")
    assert refused is not None
    assert nobody is not None
    assert (refused.result, "certificate" in refused.cure) == ("bad", True)
    assert (nobody.result, "firewall" in nobody.cure) == ("bad", True)
    assert await network.encryption("http://localhost:1") is None


async def test_a_slow_line_is_noted() -> None:
    async def slow() -> None:
        await asyncio.sleep(network.SLOW_SECONDS * 1.1)

    assert (await network.latency(slow)).result == "note"
    assert (await network.latency(lambda: asyncio.sleep(0))).result == "ok"

"""`tessera-agent models …` as its owner meets it: the real program, real files, exit codes and sentences."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shlex
import signal
import sys
from pathlib import Path

import pytest

from tests.fixtures.models import FILE, ORDINARY, PATIENCE_SECONDS, ROOT, Machine, can
from tests.standins.sources import Fault, sha256, sources, tensors

SIZE = 3 * 1024 * 1024
CONTENT = tensors(SIZE)
OTHER = tensors(SIZE, seed=2)
ACCEPT = ("--accept", "own")


@pytest.mark.parametrize("prefix", [(), ORDINARY], ids=["as we are", "not root"])
async def test_the_life_of_a_model_file(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    if prefix and not can(*prefix):
        pytest.skip("this machine has no user namespaces")
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT))
        plan, asked, nobody, pulled, again, verified, listed = await machine.tell(
            ("plan", "mine", "--json"),
            ("pull", "mine"),
            ("pull", "unheard-of"),
            ("pull", "own", *ACCEPT, "--json"),
            ("pull", "own"),
            ("verify",),
            ("list",),
            prefix=prefix,
        )
        assert len(stand.seen) == 1
    facts = json.loads(plan.out)
    assert (plan.code, facts["left_bytes"], facts["licences"]) == (0, SIZE, ["own"])
    assert asked.code == 78
    assert "Only on Sundays." in asked.err
    assert "--accept own" in asked.err
    assert (nobody.code, pulled.code, again.code, verified.code) == (78, 0, 0, 0)
    assert "unheard-of" in nobody.err
    events = [json.loads(line) for line in pulled.out.splitlines()]
    assert [event["event"] for event in events] == ["licence.accepted", "pull.started", "pull.succeeded"]
    assert machine.file.read_bytes() == CONTENT
    [accepted] = json.loads((machine.state / "licences.json").read_text())
    assert (accepted["licence"], accepted["version"], accepted["how"]) == ("own", "3", "option")
    assert accepted["who"].partition("@")[0]
    assert "T" in accepted["when"]
    assert "Everything is here" in again.out
    assert verified.out.startswith(f"ok     {FILE}")
    assert FILE in listed.out


async def test_a_file_that_rotted_is_found_and_loaded_anew(tmp_path: Path) -> None:
    """The hash is remembered while the file stays the same, and not a moment longer."""
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT))
        await machine.tell(("pull", "mine", *ACCEPT))
        stamp = machine.file.stat()
        machine.file.write_bytes(OTHER)
        os.utime(machine.file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        believed, read, refused, pulled, right = await machine.tell(
            ("verify", "mine"),
            ("verify", "mine", "--again"),
            ("pull", "mine"),
            ("pull", "mine", "--replace"),
            ("verify", "mine"),
        )
    assert [told.code for told in (believed, read, refused, pulled, right)] == [0, 1, 78, 0, 0]
    assert "pull checkpoints/mine.safetensors --replace" in read.err
    assert "--replace" in refused.err
    assert machine.file.read_bytes() == CONTENT


async def test_what_another_workflow_needs_is_not_removed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.know(CONTENT, "https://a.example/a")
    own, strange = machine.file, machine.models / "checkpoints" / "owners-own.safetensors"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    strange.write_bytes(OTHER)
    lora = machine.models / "loras" / "lcm-lora-sdxl.safetensors"
    lora.parent.mkdir()
    lora.write_bytes(CONTENT)  # of a workflow that lacks all the rest
    nothing_said, leftovers = await machine.tell(("remove",), ("remove", "--yes", "--json"))
    assert nothing_said.code == 78
    assert "--yes" in nothing_said.err
    assert json.loads(leftovers.out)["removed"] == ["loras/lcm-lora-sdxl.safetensors"]
    assert own.exists()
    assert strange.exists()
    [wanted] = await machine.tell(("remove", "mine", "--yes", "--json"))
    assert json.loads(wanted.out) == {"removed": [FILE], "kept": [], "bytes": SIZE}
    assert not own.exists()
    assert strange.exists(), "what no list names is the owner's"


async def test_a_gated_source_gets_its_token_from_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with sources() as stand:
        url = stand.put("/a", CONTENT)
        host = url.removeprefix("http://").partition("/")[0]
        machine.know(CONTENT, url, gated=True)
        [without] = await machine.tell(("pull", "mine", *ACCEPT))
        tokens = machine.state / "tokens.toml"
        tokens.parent.mkdir(exist_ok=True)
        tokens.write_text(f'"{host}" = "hf_from_file"\n"other.example" = "hf_of_another"\n')
        tokens.chmod(0o644)
        [open_to_all] = await machine.tell(("pull", "mine", *ACCEPT))
        tokens.chmod(0o600)
        assert stand.seen == []
        [pulled] = await machine.tell(("pull", "mine", *ACCEPT))
        machine.file.unlink()
        variable = {"TESSERA_AGENT_MODELS_TOKEN": f"{host}=hf_from_variable", "TESSERA_AGENT_LOG_LEVEL": "debug"}
        [over_it] = await machine.tell(("pull", "mine"), environ=variable)
    assert (without.code, open_to_all.code, pulled.code, over_it.code) == (78, 78, 0, 0)
    assert "tokens.toml" in without.err
    assert "chmod 600" in open_to_all.err
    assert [seen.authorization for seen in stand.seen] == ["Bearer hf_from_file", "Bearer hf_from_variable"]
    assert all("hf_" not in told.out + told.err.replace("hf_…", "") for told in (without, open_to_all, pulled, over_it))


async def test_a_file_without_a_hash_is_trusted_once_and_by_name_only(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT), hashed=False)
        refused, pinned, verified = await machine.tell(
            ("pull", "mine", *ACCEPT), ("pull", "mine", *ACCEPT, "--pin"), ("verify", "mine")
        )
        machine.file.unlink()
        stand.put("/a", OTHER)
        [swapped] = await machine.tell(("pull", "mine"))
        machine.file.write_bytes(OTHER)
        (machine.state / "pins.json").unlink()
        unknown, by_hand, then = await machine.tell(("verify", "mine"), ("pin", "mine"), ("verify", "mine"))
    assert (refused.code, pinned.code, verified.code) == (78, 0, 0)
    assert "Nobody has published a hash" in refused.err
    assert f"{FILE} is {sha256(CONTENT)} from now on" in pinned.err
    assert swapped.code == 1, "the pin holds"
    assert "another hash" in swapped.err
    assert unknown.out.startswith("?")
    assert sha256(OTHER) in by_hand.out
    assert then.out.startswith("ok")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_pull_that_is_ended_goes_on_where_it_was(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C keeps every byte; after a blow the last mark counts, and nothing wrong is ever in the place."""
    machine = Machine(tmp_path)
    async with sources() as stand:
        url = stand.put("/a", CONTENT, Fault(cut_after=2_000_000), Fault(trickle_seconds=30))
        machine.know(CONTENT, url)
        process = await machine.start("pull", "mine", *ACCEPT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(stand.seen) < 2:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            process.send_signal(ending)
            _, err = await process.communicate()
        assert process.returncode == (2 if ending is signal.SIGINT else -ending)
        assert not machine.file.exists()
        stand.seen.clear()
        stand.faults["/a"] = []
        [told] = await machine.tell(("pull", "mine"))
        assert told.code == 0
        assert machine.file.read_bytes() == CONTENT
        if ending is signal.SIGINT:
            assert b"goes on from there" in err
            assert int(stand.seen[0].range[6:-1]) >= 2_000_000 - 65_536


async def test_two_pulls_at_once_give_one_whole_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with sources() as stand:
        stand.put("/a", CONTENT)
        stand.during = lambda _: None
        machine.know(CONTENT, f"{stand.url}/a")
        await machine.tell(("pull", "mine", *ACCEPT, "--plain-http"))
        machine.file.unlink()
        stand.faults["/a"] = [Fault(cut_after=2_000_000), Fault(status=503, retry_after="1")]
        both = [await machine.start("pull", "mine") for _ in range(2)]
        ends = await asyncio.gather(*(asyncio.wait_for(one.communicate(), PATIENCE_SECONDS) for one in both))
        codes = sorted(one.returncode or 0 for one in both)
    assert machine.file.read_bytes() == CONTENT
    assert codes in ([0, 2], [0, 0])
    assert codes == [0, 0] or any(b"by somebody else" in err for _, err in ends)


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
SCRIPT = """
mount -t tmpfs -o size=6m tmpfs {models} || exit 99
{pull} & pid=$!
for _ in $(seq 1000); do [ "$(stat -c %s {part} 2>/dev/null || echo 0)" -ge 1500000 ] && break; sleep 0.05; done
dd if=/dev/zero of={models}/filler bs=4k 2>/dev/null
touch {filled}
wait $pid; echo "first $?"
stat -c "kept %s" {part}; ls {models}/checkpoints
rm {models}/filler
{pull}; echo "second $?"
sha256sum {file}
"""


async def test_a_full_disk_is_told_and_costs_nothing_that_came(tmp_path: Path) -> None:
    """A disk of its own, on which somebody else writes the last byte while the file is coming."""
    if not can(*NAMESPACE):
        pytest.skip("this machine has no user namespaces")
    machine, filled = Machine(tmp_path), tmp_path / "filled"
    async with sources() as stand, asyncio.TaskGroup() as group:
        machine.know(CONTENT, stand.put("/a", CONTENT))
        stand.gate = (1_500_000, asyncio.Event())
        pull = shlex.join([sys.executable, "-m", "agent", *machine.command("pull", "mine", *ACCEPT)])
        places = {"models": machine.models, "part": f"{machine.file}.part", "filled": filled, "file": machine.file}
        script = SCRIPT.format(pull=pull, **places)
        environ = {"TESSERA_AGENT_DISK_FREE_GIB_MIN": "0"}
        running = group.create_task(_run(*NAMESPACE, "sh", "-c", script, environ=environ))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not filled.exists():
                await asyncio.sleep(0.02)
        stand.gate[1].set()
        out, err = await running
        begins = [seen.range for seen in stand.seen]
    assert "first 1" in out
    assert "is full (No space left on device)" in err
    assert "second 0" in out
    assert sha256(CONTENT) in out
    assert begins[0] == ""
    assert int(begins[-1][6:-1]) > 1_000_000, "it went on from where the disk was full"


async def test_what_cannot_fit_is_not_even_begun(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT))
        environ = {"TESSERA_AGENT_DISK_FREE_GIB_MIN": "9999"}
        plan, pull = await machine.tell(("plan", "mine"), ("pull", "mine", *ACCEPT), environ=environ)
        assert (plan.code, pull.code) == (1, 1)
        assert "Does NOT fit" in plan.out
        assert "are lacking" in pull.err
        assert stand.seen == []
    assert not (machine.state / "licences.json").exists(), "nothing is accepted for nothing"


async def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    """As quotas are: there seems to be room, and in the middle there is none. What came is kept and gone on with."""
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT))
        pull = shlex.join([sys.executable, "-m", "agent", *machine.command("pull", "mine", *ACCEPT)])
        out, err = await _run("sh", "-c", f"ulimit -f 2048; {pull}; echo code $?")
        assert "code 1" in out
        assert "is kept: free some space" in err
        assert not machine.file.exists()
        [told] = await machine.tell(("pull", "mine"))
        assert told.code == 0
        assert machine.file.read_bytes() == CONTENT
        assert len(stand.seen) == 2
        assert int(stand.seen[1].range[6:-1]) > 500_000


async def test_on_a_terminal_a_licence_is_asked_for_and_a_bar_is_drawn(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with sources() as stand:
        machine.know(CONTENT, stand.put("/a", CONTENT, Fault(cut_after=1_000_000), Fault(status=503, retry_after="1")))
        no, _ = await asyncio.to_thread(_on_a_terminal, machine.command("pull", "mine"), b"n\n")
        yes, drawn = await asyncio.to_thread(_on_a_terminal, machine.command("pull", "mine"), b"y\n")
    assert (no, yes) == (78, 0)
    assert "Do you accept this licence?" in drawn
    assert "░" in drawn
    assert machine.file.read_bytes() == CONTENT
    [accepted] = json.loads((machine.state / "licences.json").read_text())
    assert accepted["how"] == "asked"


async def _run(*command: str, environ: dict[str, str] | None = None) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    return out.decode(), err.decode()


def _on_a_terminal(command: list[str], typed: bytes) -> tuple[int, str]:
    """Exit code, and all that stood on the screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "agent", *command])
    os.write(terminal, typed)
    screen = bytearray()
    while True:
        try:
            screen += os.read(terminal, 65_536) or b""
        except OSError:  # the other side has gone
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()

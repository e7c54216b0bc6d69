"""Is everything here as it must be? One check after the other, each with what was found and, if bad, the cure.

Nothing is changed: the control plane is only asked who we are, and the engine that draws the canary picture is
this command's own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from agent import wsl
from agent.capabilities import machine
from agent.checkup import Check
from agent.checkup import containers as container_checks
from agent.checkup import machine as machine_checks
from agent.checkup import network as network_checks
from agent.checkup import wsl as wsl_checks
from agent.client import NoAnswer, Problem, connect
from agent.console import NotRunning, ask
from agent.credential import Credential, CredentialError, load
from agent.engine import Engine, EngineError
from agent.engine.choice import Choice, EngineMissing, choose
from agent.enrolment import is_plain
from agent.local import SlotFacts
from agent.retry import Verdict, verdict
from agent.settings import Settings
from agent.trial import try_job
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.job import JobSpec
from control_plane.wire.worker import Capability, Enrolled

CANARY_SECONDS = 0.5
"""How long the built-in engine takes over the canary."""
CLOCK_OFF_SECONDS = 30.0
MEMORY_AVAILABLE_GIB_MIN = 0.5


async def examine(settings: Settings, distribution: str | None = None) -> AsyncGenerator[Check, None]:
    """The checks in the order in which one would look. `distribution`: what WSL_DISTRO_NAME says."""
    yield machine_checks.python()
    try:
        credential = load(settings.credential_file)
    except CredentialError as error:
        yield Check(name="credential", result="bad", found="not usable", cure=str(error))
    else:
        yield Check(name="credential", result="ok", found=f"{credential.name} ({credential.worker_id})")
        for check in await _control_plane(credential):
            yield check
    yield _disk(settings)
    yield _memory(settings)
    for check in await _surroundings(settings, distribution):
        yield check
    async with aclosing(_engines(settings)) as checks:
        async for check in checks:
            yield check
    yield await _running(settings)


async def canaries(settings: Settings) -> AsyncGenerator[Check, None]:
    """Whether this very agent could work here: what an update asks before it lets it."""
    for check in await _control_plane(load(settings.credential_file)):
        yield check
    async with aclosing(_engines(settings)) as checks:
        async for check in checks:
            yield check


async def _surroundings(settings: Settings, distribution: str | None) -> list[Check]:
    """GPUs, WSL2, containers, ComfyUI and its models."""
    in_wsl = wsl.is_wsl()
    checks = await machine_checks.gpus(settings, wsl=in_wsl)
    if in_wsl:
        checks += await wsl_checks.checks(await wsl.look(distribution), machine(settings.dir).memory_gib)
    checks += await container_checks.checks(settings)
    try:
        from agent.checkup import comfyui  # needs what drives it
    except ImportError:
        return checks
    return checks + await comfyui.checks(settings)


async def _control_plane(credential: Credential) -> list[Check]:
    encrypted = await network_checks.encryption(credential.url, credential.authority)
    checks: list[Check] = [encrypted] if encrypted is not None else []
    if is_plain(credential.url):
        cure = "Have the operator serve https (`tessera up --lan`), and enrol again with that address."
        checks.append(Check(name="transport", result="note", found="http, everybody on the way reads along", cure=cure))
    async with connect(credential.url, credential.secret, credential.authority) as client:
        try:
            enrolled = await client.config()
        except (NoAnswer, Problem) as error:
            return [*checks, _refused(credential, error)]
        quick = await network_checks.latency(client.config)
    checks.append(Check(name="control plane", result="ok", found=f"{credential.url} accepts this worker"))
    checks += [quick, _protocol(enrolled)]
    if client.server_time is not None:
        checks.append(_clock(time.time() - client.server_time))
    return checks


def _protocol(enrolled: Enrolled) -> Check:
    if enrolled.protocol_min <= PROTOCOL_VERSION <= enrolled.protocol_max:
        return Check(name="protocol", result="ok", found=f"version {PROTOCOL_VERSION}")
    spoken = f"{enrolled.protocol_min} to {enrolled.protocol_max} there, {PROTOCOL_VERSION} here"
    return Check(name="protocol", result="bad", found=spoken, cure="Run: tessera-agent update")


def _refused(credential: Credential, error: NoAnswer | Problem) -> Check:
    if isinstance(error, NoAnswer):
        cure = f"Is {credential.url} right, and the control plane up? Try to open it from this machine."
    elif verdict(error) is Verdict.FATAL:
        cure = "The worker is revoked or unknown. Enrol again: tessera-agent enroll URL TOKEN --replace"
    else:
        cure = "Is this the address of a Tessera control plane? If so, its log knows more."
    return Check(name="control plane", result="bad", found=str(error), cure=cure)


def _clock(off_seconds: float) -> Check:
    found = f"{off_seconds:+.0f} s from the control plane's"
    if abs(off_seconds) < CLOCK_OFF_SECONDS:
        return Check(name="clock", result="ok", found=found)
    cure = "Harmless: only durations are measured here. In WSL2, `sudo hwclock -s` sets the clock right."
    return Check(name="clock", result="note", found=found, cure=cure)


def _disk(settings: Settings) -> Check:
    free = machine(settings.dir).disk_free_gib
    if free >= settings.disk_free_gib_min:
        return Check(name="disk", result="ok", found=f"{free:.1f} GiB free")
    cure = f"Below {settings.disk_free_gib_min:g} GiB the agent asks for no work. Free some space in {settings.dir}."
    return Check(name="disk", result="bad", found=f"{free:.2f} GiB free", cure=cure)


def _memory(settings: Settings) -> Check:
    facts = machine(settings.dir)
    found = f"{facts.memory_available_gib:.1f} of {facts.memory_gib:.1f} GiB available"
    if facts.memory_available_gib >= MEMORY_AVAILABLE_GIB_MIN:
        return Check(name="memory", result="ok", found=found)
    return Check(name="memory", result="note", found=found, cure="Close something, or expect slow pictures.")


async def _engines(settings: Settings) -> AsyncGenerator[Check, None]:
    """Of slots that are alike, one. A ComfyUI in the care of a running agent is not to be touched."""
    try:
        running = (await ask(settings, "status")).slots
    except NotRunning:
        running = []
    for slot, card in enumerate(settings.cards):
        if card in settings.cards[:slot]:
            continue
        if card.is_supervised and slot < len(running):
            yield _in_care(running[slot])
            continue
        for check in await _engine(msgspec.structs.replace(settings, testcard_seconds=CANARY_SECONDS), slot):
            yield check


def _in_care(slot: SlotFacts) -> Check:
    found = f"slot {slot.slot}: {slot.engine} on {slot.device}, in the care of the running agent"
    if slot.ready:
        return Check(name="engine", result="ok", found=found)
    return Check(name="engine", result="bad", found=found, cure=slot.trouble or "It is being started. Look again soon.")


async def _engine(settings: Settings, slot: int) -> list[Check]:
    try:
        choice = await choose(settings, slot)
        engine = choice.make()
    except EngineMissing as error:
        return [Check(name="engine", result="bad", found=settings.cards[slot].engine, cure=str(error))]
    found = Check(name="engine", result="ok", found=f"{choice.name}: {choice.why}")
    return [found, await _canary(settings, choice, engine)]


async def _canary(settings: Settings, choice: Choice, engine: Engine) -> Check:
    try:
        await engine.start()
        offer = await engine.offer()
        drawn = await try_job(engine, canary(offer.capabilities, engine.loaded()), settings.trials_folder)
    except EngineError as error:
        cure = f"{error.cause}: see the engine's own log; `tessera-agent run --engine {choice.name}` would fail too."
        return Check(name="canary", result="bad", found=error.message, cure=cure)
    finally:
        await engine.stop()
    found = f"drawn in {drawn.seconds:.1f} s on {offer.device}: {drawn.files[0].path}"
    return Check(name="canary", result="ok", found=found)


def canary(capabilities: list[Capability], loaded: Capability | None = None) -> JobSpec:
    """A small picture by the model that is loaded, else by the first one that can draw one."""
    drawing = [able.model for able in capabilities if able.kind == "image" and draws(able)]
    if not drawing:
        raise EngineError("missing_model", "The engine offers no model that draws pictures from words.")
    model = loaded.model if loaded is not None and loaded.model in drawing else drawing[0]
    return JobSpec(kind="image", model=model, prompt="a canary", width=512, height=512, steps=4, seed=1)


def draws(able: Capability) -> bool:
    """Whether it needs nothing but words."""
    return not able.tasks or "text-to-image" in able.tasks


async def _running(settings: Settings) -> Check:
    try:
        status = await ask(settings, "status")
    except NotRunning as error:
        return Check(name="agent", result="note", found="not running", cure=str(error))
    return Check(name="agent", result="ok", found=f"{status.state}, process {status.pid}")

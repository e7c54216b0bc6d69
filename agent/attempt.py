"""One attempt, from a lease to its acknowledged report, as a straight line: wait for the engine, run, upload, report.

The outcome is one of the protocol's three reports. Whatever happens ends in exactly one of them, or in silence when
the lease is lost. The files of the attempt are deleted at the end in any case.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack, aclosing
from functools import partial

import msgspec
import structlog

from agent.client import Problem
from agent.duty import Duty
from agent.engine import Done, EngineError, Output, Preview
from agent.interrupt import Interrupted
from agent.retry import Verdict, persist, verdict
from agent.slot import Slot
from agent.work import Ending, Work
from control_plane.wire.job import Progress
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import (
    Claimed,
    CompleteRequest,
    FailRequest,
    ReleaseReason,
    ReleaseRequest,
    Reported,
)

UPLOAD_TRIES_MAX = 3
"""For a file that arrives other than it left."""
MESSAGE_LENGTH_MAX = 2_000
MISMATCH = "artifact-mismatch"

Outcome = CompleteRequest | FailRequest | ReleaseRequest
RELEASE_REASONS: dict[Ending, ReleaseReason] = {
    "canceled": "canceled",
    "drain": "drain",
    "shutdown": "shutdown",
    "yield": "yield",
}

log = structlog.get_logger()


class NotStarted(Exception):
    """The engine did not get ready, so the order goes back as it came."""


class UploadRefused(Exception):
    """The control plane will never take this file."""


async def pursue(work: Work, slot: Slot, duty: Duty) -> Claimed | None:
    """Sees `work` through. Returns what a claim that travelled with the report has brought."""
    name = "lost"
    try:
        outcome = await _work(work, slot, duty)
        reported = await _report(work, slot, duty, outcome)
        name = reported.state if isinstance(outcome, CompleteRequest) else _name(outcome)
        return reported.claimed
    except Interrupted:
        return None
    except Problem as problem:
        if verdict(problem) is Verdict.FATAL:
            raise
        if verdict(problem) is not Verdict.LOST:
            log.error("report.rejected", job_id=str(work.lease.job_id), problem=str(problem))
        return None
    finally:
        duty.drop(slot, work)
        duty.metrics.jobs[name] += 1
        facts = {"job_id": str(work.lease.job_id), "attempt": work.lease.attempt, "outcome": name}
        if work.lease.traceparent is not None:
            facts["traceparent"] = work.lease.traceparent
        log.info("attempt.finished", **facts)


async def _work(work: Work, slot: Slot, duty: Duty) -> Outcome:
    """Everything that can be ended from outside."""
    try:
        async with work.working:
            outputs = work.outputs or await _make(work, slot, duty)
            await asyncio.sleep(0)  # the engine's next run begins before this one's upload
            duty.journal.made(work.lease, outputs)
            work.stage = "uploading"
            slot.fall_idle()
            for output in outputs:
                await _upload(work, duty, output)
            return CompleteRequest(artifacts=len(outputs), provenance=_made(outputs))
    except EngineError as error:
        log.warning("attempt.failed", job_id=str(work.lease.job_id), cause=error.cause, problem=error.message)
        return FailRequest(cause=error.cause, message=error.message[:MESSAGE_LENGTH_MAX].replace("\x00", ""))
    except NotStarted:
        return ReleaseRequest(reason="not_started")
    except UploadRefused as error:
        return FailRequest(cause="upload", message=str(error)[:MESSAGE_LENGTH_MAX])
    except Interrupted:
        slot.ready = slot.ready and not work.working.forced
        if work.ending is None or work.ending == "lost":
            raise
        return ReleaseRequest(reason=RELEASE_REASONS[work.ending])
    finally:
        work.stage = "reporting"
        slot.fall_idle()


async def _make(work: Work, slot: Slot, duty: Duty) -> list[Output]:
    await duty.inputs.bring(duty.client, work.lease, work.folder)
    return await _run(work, slot, duty)


async def _run(work: Work, slot: Slot, duty: Duty) -> list[Output]:
    async with AsyncExitStack() as turn:
        await turn.enter_async_context(slot.turn)
        await _ready(slot)
        slot.begin(work)
        duty.tell()
        outputs: list[Output] = []
        try:
            outputs = await _run_within_limit(work, slot, duty, turn)
        except EngineError as error:
            slot.ready = slot.ready and error.cause != "engine_crash"
            if error.cause == "missing_model":
                slot.offer = await slot.engine.offer()
            raise
        finally:
            if work.stage == "running":
                slot.end(work, finished=bool(outputs))
        return outputs


async def _ready(slot: Slot) -> None:
    """An engine that does not start says nothing about the order."""
    try:
        await slot.ready_engine()
    except EngineError as error:
        log.error("engine.not_ready", slot=slot.number, problem=error.message)
        raise NotStarted from error


async def _let_go(work: Work, slot: Slot, turn: AsyncExitStack) -> None:
    """The engine is free: the held job begins while this one's files are brought in and uploaded."""
    slot.end(work, finished=True)
    work.stage = "uploading"
    await turn.aclose()
    slot.fall_idle()


async def _run_within_limit(work: Work, slot: Slot, duty: Duty, turn: AsyncExitStack) -> list[Output]:
    """Whatever goes wrong in the engine comes out as `EngineError`."""
    seconds = duty.settings.run_seconds_max
    limit = asyncio.timeout(seconds)
    try:
        with slot.using_engine():
            async with limit:
                outputs = await _follow(work, slot, duty, turn)
    except EngineError:
        raise
    except Exception as error:
        if limit.expired():
            raise EngineError("timeout", f"Stopped after {seconds:g} seconds.") from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise EngineError("engine_crash", "The disk of this worker is full.") from error
        log.exception("engine.broken", slot=slot.number)
        raise EngineError("engine_crash", f"{type(error).__name__} in the engine.") from error
    if not outputs:
        raise EngineError("engine_crash", "The engine ended without a file.")
    return outputs


async def _follow(work: Work, slot: Slot, duty: Duty, turn: AsyncExitStack) -> list[Output]:
    outputs: list[Output] = []
    async with aclosing(slot.engine.run(work.lease.spec, work.folder)) as events:
        async for event in events:
            match event:
                case Progress():
                    work.advance(event)
                    duty.progressed(work)
                case Preview():
                    work.show(event)
                    duty.progressed(work)
                case Done():
                    await _let_go(work, slot, turn)
                case Output():
                    outputs.append(event)
    return outputs


async def _upload(work: Work, duty: Duty, output: Output) -> None:
    for tries in range(1, UPLOAD_TRIES_MAX + 1):
        try:
            await persist(partial(_send, work, duty, output), "upload")
            return
        except Problem as problem:
            if verdict(problem) is not Verdict.REJECTED:
                raise
            if problem.code != MISMATCH or tries == UPLOAD_TRIES_MAX:
                raise UploadRefused(f"The control plane refused the file: {problem}") from problem


async def _send(work: Work, duty: Duty, output: Output) -> None:
    duty.metrics.uploaded_bytes += await duty.uploads.send(work.lease, output)


async def _report(work: Work, slot: Slot, duty: Duty, outcome: Outcome) -> Reported:
    """Until it is acknowledged, or the lease is lost."""
    outcome = msgspec.structs.replace(outcome, joules=work.joules())
    async with work.reporting:
        match outcome:
            case CompleteRequest():
                return await _complete(work, slot, duty, outcome)
            case FailRequest():
                return await persist(lambda: duty.client.fail(work.lease, outcome), "fail")
            case ReleaseRequest():
                return await persist(lambda: duty.client.release(work.lease, outcome), "release")


async def _complete(work: Work, slot: Slot, duty: Duty, outcome: CompleteRequest) -> Reported:
    """Asks for the next lease in the same round trip when one is wanted."""
    claim = duty.next_claim(slot, work)
    if claim is None:
        return await persist(lambda: duty.client.complete(work.lease, outcome), "complete")
    both = msgspec.structs.replace(outcome, claim=claim)
    with slot.ask():
        return await persist(lambda: duty.client.complete(work.lease, both), "complete")


def _made(outputs: list[Output]) -> Provenance | None:
    """What all files were made with; they differ in their seeds."""
    made = [output.made for output in sorted(outputs, key=lambda output: output.index) if output.made is not None]
    return msgspec.structs.replace(made[0], seeds=[seed for each in made for seed in each.seeds]) if made else None


def _name(outcome: Outcome) -> str:
    if isinstance(outcome, FailRequest):
        return "failed"
    canceled = isinstance(outcome, ReleaseRequest) and outcome.reason == "canceled"
    return "canceled" if canceled else "released"

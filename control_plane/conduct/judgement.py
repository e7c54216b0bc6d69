"""Conduct: what may be ordered. Every order is read by the operator's policy before anything is held for it.

The policy is read once at start, which a faulty one prevents, and again soon after its file changes; a change that
cannot be used is logged and the rules in force stay. A refusal names the category, never the word, and is counted; what
was asked for is kept nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import structlog

from control_plane import metrics
from control_plane.conduct import policy
from control_plane.conduct.policy import Policy
from control_plane.errors import ModeratedInput
from control_plane.orders.specs import Ordered
from control_plane.settings import ConfigurationError
from control_plane.wire.job import JobSpec, Typed
from control_plane.wire.problem import Fault

LOOK_SECONDS = 2.0
"""How often the file is looked at."""
GUIDANCE_MIN = 1.0
"""With less guidance than this a picture follows its negative prompt, and at 0 nothing else (classifier-free guidance,
Ho and Salimans 2022), so then that one is read like a prompt."""

Stamp = tuple[int, int, int]

log = structlog.get_logger()


class Conduct:
    """The rules in force in this process."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises `ConfigurationError` when the file cannot be used."""
        self._path = path or policy.DEFAULT
        self._stamp = _stamp(self._path)
        self._adopt(policy.read(self._path))

    def check(self, spec: JobSpec, typed: Typed | None = None) -> int:
        """The version of the policy that a completed order was read by, with what was typed before it was translated.
        Raises `ModeratedInput`."""
        rules = self.policy
        for pointer, category in _read(rules, spec, typed):
            raise _refused(pointer, category)
        if spec.input_image is not None:
            self.check_input("/input_image", spec.input_image.sha256)
        return rules.version

    def marks(self, spec: Ordered) -> str | None:
        """What the rules in force call that which was made from this: a forbidden category, or `adult`, as also what it
        was ordered as; None when there is nothing to say."""
        rules = self.policy
        if spec.input_image is not None and spec.input_image.sha256 in rules.blocked_inputs:
            return "inputs"
        found = next((category for _, category in _read(rules, spec, spec.typed)), None)
        return found or ("adult" if spec.adult or self.is_adult(spec, spec.typed) else None)

    def is_adult(self, spec: JobSpec, typed: Typed | None = None) -> bool:
        """Whether the words of an order ask for adult content, which is made, but shown covered."""
        words = (spec, typed) if typed is not None else (spec,)
        followed = [each.prompt for each in words]
        if spec.guidance < GUIDANCE_MIN:
            followed += [each.negative_prompt for each in words]
        return any(map(self.policy.is_adult, followed))

    def check_input(self, pointer: str, *sha256s: str) -> None:
        """Raises `ModeratedInput` when a picture with one of these hashes may not be used."""
        if not self.policy.blocked_inputs.isdisjoint(sha256s):
            raise _refused(pointer, "inputs")

    async def run(self) -> None:
        """Follows the file."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Reads the file again if it has changed."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = policy.read(self._path)
        except ConfigurationError as error:
            self.is_usable = False
            metrics.policy_usable.set(0)
            log.error("policy.refused", version_in_force=self.policy.version, error=str(error))
            return
        self._adopt(found)
        log.info("policy.adopted", version=found.version)

    def _adopt(self, found: policy.Policy) -> None:
        self.policy = found
        metrics.policy_version.set(found.version)
        self.is_usable = True
        metrics.policy_usable.set(1)


def _read(rules: Policy, spec: JobSpec, typed: Typed | None) -> Iterator[tuple[str, str]]:
    """Where an order asks for what is forbidden, and by which category."""
    yield from _read_words(rules, spec, spec.guidance, "")
    if typed is not None:
        yield from _read_words(rules, typed, spec.guidance, "/typed")


def _read_words(rules: Policy, spec: JobSpec | Typed, guidance: float, place: str) -> Iterator[tuple[str, str]]:
    if (category := rules.category(spec.prompt)) is not None:
        yield f"{place}/prompt", category
    read = rules.category if guidance < GUIDANCE_MIN else rules.category_of_negative
    if (category := read(spec.negative_prompt)) is not None:
        yield f"{place}/negative_prompt", category


def _refused(pointer: str, category: str) -> ModeratedInput:
    metrics.orders_moderated.labels(category).inc()
    detail = f"This falls under {category!r}, which this service does not make. Nothing was ordered."
    fault = Fault(pointer=pointer, code="moderated", detail=detail)
    return ModeratedInput(detail, category=category, errors=[fault])


def _stamp(path: Path) -> Stamp | None:
    """Tells one state of the file from another; None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

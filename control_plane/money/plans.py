"""Plans: what each gives and allows, what a user has of it, and what is told to somebody whose plan forbids something.

Plans are data, edited by the operator. The view `user_plans` is the only truth about which one a user has: a paid plan
lapses, and a newcomer's day is smaller. What an order needs is compared with limits by pure functions, so a dry run, a
refusal and a bot say the same in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Invalid, NotFound, PlanForbids

INTEGER_MAX = 2**31 - 1
USAGE_DAYS_MAX = 366

Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Most = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Rate = Annotated[int, Meta(ge=1, le=1_000_000)]
Weight = Annotated[float, Meta(gt=0, le=1e9)]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; limits are per user but for the pool's. The constraints are those of the columns."""

    name: str
    tokens_per_day: Count
    newcomer_days: Annotated[int, Meta(ge=0, le=366)]
    """For so many days the tokens of a new user's day rise step by step to the whole."""
    weight: Weight
    running_max: Annotated[int, Meta(ge=1, le=32_767)]
    queued_max: Most
    submits_per_minute: Rate
    reads_per_minute: Rate
    images: bool
    pixels_max: Most
    video_seconds_max: Annotated[float, Meta(ge=0, le=86_400)]
    retention_days: Annotated[int, Meta(ge=1, le=36_500)]
    pool_weight: Weight | None
    pool_tokens_per_day: Annotated[int, Meta(ge=1, le=2**53)] | None
    price_cents: Count
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has at a moment."""

    user_id: UUID
    status: str
    plan: str
    paid_until: datetime | None
    queued_max: int
    running_max: int
    submits_per_minute: int
    reads_per_minute: int
    images: bool
    pixels_max: int
    video_seconds_max: float
    retention_days: int
    tokens_per_day: int
    daily_left: int
    """Of today's tokens; 0 also when all users of the plan together have taken what they may in a day."""
    purchased: int
    """Below zero after a reversed payment."""
    held: int
    queued: int
    running: int
    calls: int
    """Submits that the rate allows now."""
    busy_seconds: float
    """Until the whole rate is free again."""
    resets_at: datetime
    resets_in: float
    submits_paused: bool
    """For everybody."""

    @property
    def available(self) -> int:
        """Tokens that an order may cost. A debt is paid off before anything else, today's tokens or not."""
        return 0 if self.purchased < 0 else self.daily_left + self.purchased


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    jobs: int
    daily: int
    purchased: int


class Limits(Protocol):
    """Of a plan, or of the plan that a user has."""

    @property
    def images(self) -> bool: ...
    @property
    def pixels_max(self) -> int: ...
    @property
    def video_seconds_max(self) -> float: ...


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order a plan may forbid. `video_seconds` is 0 for a picture."""

    kind: str
    pixels: int
    video_seconds: float = 0.0


SPENT = Query("plans.spent", str)
"""The plans whose users together have used up their tokens of the day."""

PROCESSES = Query("plans.processes", int)
"""How many control planes there are."""

LIST = Query("plans.list", Plan)
LOCK = Query("plans.lock", Plan)
SET = Query("plans.set", str)
STANDING = Query("plans.standing", Standing)
USAGE = Query("plans.usage", UsageRow)


async def standing(database: Database, user_id: UUID, spent_plans: Sequence[str] = ()) -> Standing:
    """What a user has now. Raises `NotFound`."""
    found = await database.one(STANDING, {"user_id": user_id, "spent_plans": list(spent_plans)})
    if found is None:
        raise NotFound("There is no such user.")
    return found


# ------------------------------------------------------------------------------------------ what is forbidden


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that an order would break. `limit` is the name of the plan's column."""

    limit: str
    allowed: float
    asked: float
    sentence: str


def breach(size: Size, limits: Limits, plan: str) -> Breach | None:
    """The first limit that an order breaks: the rule that admission applies, with its words."""
    if size.kind == "image" and not limits.images:
        return Breach(limit="images", allowed=0, asked=1, sentence=f"Your plan {plan} makes no pictures.")
    if size.video_seconds > limits.video_seconds_max:
        most = limits.video_seconds_max
        sentence = f"Your plan {plan} makes videos of at most {most:g} s; this one has {size.video_seconds:.4g} s."
        if not most:
            sentence = f"Your plan {plan} makes no videos."
        return Breach(limit="video_seconds_max", allowed=most, asked=size.video_seconds, sentence=sentence)
    if size.pixels > limits.pixels_max:
        sentence = (
            f"Your plan {plan} makes pictures of at most {limits.pixels_max} pixels (width times height);"
            f" this one has {size.pixels}."
        )
        return Breach(limit="pixels_max", allowed=limits.pixels_max, asked=size.pixels, sentence=sentence)
    return None


def forbidden(size: Size, standing: Standing, plans: Iterable[Plan]) -> PlanForbids | None:
    """What the customer of such an order is told, and which plans would allow it; None when theirs does."""
    found = breach(size, standing, standing.plan)
    if found is None:
        return None
    allowing = [plan.name for plan in plans if breach(size, plan, plan.name) is None]
    hint = f"Plans that allow it: {', '.join(allowing)}." if allowing else "No plan allows it."
    return PlanForbids(
        f"{found.sentence} {hint}",
        plan=standing.plan,
        limit=found.limit,
        allowed=found.allowed,
        asked=found.asked,
        allowed_by=allowing,
    )


# ------------------------------------------------------------------------------------------ the operator's hand


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a plan that is another than before."""

    name: str
    before: Any
    after: Any


COLUMNS = tuple(name for name in Plan.__struct_fields__ if name != "name")
_NONE = ("none", "")
_BOOLEANS = {"yes": "true", "no": "false"}


def changed(plan: Plan, wanted: Mapping[str, str]) -> Plan:
    """The plan with these columns changed, as typed by a person. Raises `Invalid` that names all that is wrong."""
    values, faults = msgspec.structs.asdict(plan), []
    for name, text in wanted.items():
        value = None if text.lower() in _NONE else _BOOLEANS.get(text.lower(), text)
        try:
            values |= _converted(name, value)
        except msgspec.ValidationError as error:
            faults.append({"pointer": name, "code": "invalid_value", "detail": f"{name}={text}: {error}."})
    if faults:
        raise Invalid(" ".join(fault["detail"] for fault in faults), errors=faults)
    return Plan(**values)


def _converted(name: str, value: str | None) -> dict[str, object]:
    """One column by the rules of `Plan`."""
    kind = msgspec.defstruct("Column", [(name, _KINDS[name])])
    return msgspec.structs.asdict(msgspec.convert({name: value}, kind, strict=False))


_KINDS: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Plan)}


def changes(before: Plan, after: Plan) -> list[Change]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in COLUMNS)
    return [Change(name=name, before=old, after=new) for name, old, new in pairs if old != new]


async def change(database: Database, name: str, wanted: Mapping[str, str], actor: Actor) -> list[Change]:
    """Changes a plan for everybody on it; what is queued keeps its place. Raises `NotFound`, `Invalid`."""
    async with database.transaction() as connection:
        before = await LOCK.one(connection, {"name": name})
        if before is None:
            raise NotFound(f"There is no plan {name!r}.")
        after = changed(before, wanted)
        if found := changes(before, after):
            await SET.one(connection, msgspec.structs.asdict(after))
            detail = {each.name: each.after for each in found}
            await audit.record(connection, actor, "set", ("plan", name), detail)
    return found

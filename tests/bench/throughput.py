"""How many jobs go through one control-plane process: claim and complete, claims alone, submits; and the peers.

Every round runs Tessera and its peers one after the other on the same PostgreSQL, the order turning from round to
round; the ratios are those of the medians. All of Tessera's figures are requests over HTTP with credentials, attempts
and events; procrastinate and pgqueuer work in process, without HTTP.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from tests.bench import fill, machine, peers, service, wrk
from tests.bench.report import Row, at_least, spread
from tests.bench.scratch import Scratch

AGENTS = 64
CALLERS = 64
PEER_CALLERS = 10
BACKLOG = 20_000
"""More than any contestant gets done in one stretch."""
CLAIM_WORKERS = 8 * AGENTS
"""Workers for claims alone: 32 leases each, then they are full. So many that time ends a stretch and not the leases:
the agent that is full last would claim alone at the end, and that would count as the rate of all."""
ASKING_SECONDS = 4.0
"""For each of their slots to have asked once."""

Stretch = Callable[[], tuple[float, machine.Load, float]]


class Race:
    """The contestants, and what each of them reached in every round."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.seconds = 2.0 if scratch.quick else 3.0
        self.rates: dict[str, list[float]] = {}
        self.costs: dict[str, list[str]] = {}
        self.latencies: dict[str, list[wrk.Result]] = {}

    def run(self, name: str, stretch: Stretch) -> None:
        rate, load, jobs = stretch()
        self.rates.setdefault(name, []).append(rate)
        self.costs.setdefault(name, []).append(load.told(jobs))

    def median(self, name: str) -> float:
        return statistics.median(self.rates[name])

    def note(self, name: str) -> str:
        """What a contestant reached, and what it cost in its median round."""
        rates = self.rates[name]
        middle = rates.index(sorted(rates)[len(rates) // 2])
        return f"{name}: {spread(rates)}/s; {self.costs[name][middle]}"


class Tessera:
    """A control plane with agents and customers, and a backlog that is filled up before each stretch."""

    def __init__(self, race: Race, database: str, plane: service.Service) -> None:
        self._race = race
        self._scratch = race.scratch
        self._database = database
        self._plane = plane
        with self._scratch.superuser(database) as connection:
            self._users = [one.secret for one in fill.users(connection, CALLERS)]
            self._workers = [one.secret for one in fill.workers(connection, AGENTS)]

    def fill(self, *, settled: bool = True) -> None:
        with self._scratch.superuser(self._database) as connection:
            fill.end_leases(connection)
            missing = BACKLOG - fill.queued(connection)
            if missing > 0:
                fill.backlog(connection, missing)
            fill.artifacts(connection)
            if settled:
                fill.settle(connection)

    def load(self, script: str, seconds: float | None = None) -> tuple[float, machine.Load, float]:
        return self._loaded(script, self._users if script == "submit" else self._workers, seconds)

    def _loaded(
        self, script: str, credentials: list[str], seconds: float | None = None, *, quiet: bool = True
    ) -> tuple[float, machine.Load, float]:
        trees = {"control plane": self._plane.pid, "postgres": self._scratch.postgres_pid}
        if quiet:
            self._scratch.quiet()
        with machine.metered(trees) as load:
            result = wrk.run(
                script,
                self._plane.url,
                credentials,
                self._scratch.folder,
                callers=AGENTS,
                seconds=seconds or self._race.seconds,
            )
        self._race.latencies.setdefault(script, []).append(result)
        return result.rate, load, result.jobs

    def agents(self, script: str) -> tuple[float, machine.Load, float]:
        self.fill()
        return self.load(script)

    def claims(self) -> tuple[float, machine.Load, float]:
        """By workers that are new but known: they have just asked in vain, so their slots are written down."""
        self.fill()
        with self._scratch.superuser(self._database) as connection:
            workers = [one.secret for one in fill.workers(connection, CLAIM_WORKERS)]
            with fill.paused(connection):
                self._loaded("claims", workers, ASKING_SECONDS)
        return self._loaded("claims", workers, quiet=False)


def measure(scratch: Scratch) -> list[Row]:
    race = Race(scratch)
    database = scratch.tessera("throughput")
    procrastinate, pgqueuer = peers.Procrastinate(scratch), peers.Pgqueuer(scratch)
    with (
        service.control_plane(scratch.folder, scratch.url(database)) as plane,
        service.bare_litestar(scratch.folder) as litestar,
    ):
        tessera = Tessera(race, database, plane)
        tessera.fill()
        tessera.load("claim_complete", 1)  # credentials and plans are looked up
        stretches: dict[str, Stretch] = {
            "claim, complete": lambda: tessera.agents("claim_complete"),
            "procrastinate": lambda: _procrastinate(race, procrastinate),
            "complete with next claim": lambda: tessera.agents("complete_claims"),
            "claims": tessera.claims,
            "bare Litestar": lambda: _noop(race, litestar),
            "submits": lambda: tessera.load("submit"),
            "pgqueuer enqueue": lambda: _pgqueuer(race, pgqueuer),
        }
        for turn in range(1 if scratch.quick else 3):
            for name in list(stretches) if turn % 2 == 0 else reversed(stretches):
                race.run(name, stretches[name])
    fresh = _fresh(race)
    return [*_rows(race), fresh]


def _procrastinate(race: Race, peer: peers.Procrastinate) -> tuple[float, machine.Load, float]:
    peer.fill(int(2_000 * race.seconds))
    race.scratch.quiet()
    with machine.metered({"postgres": race.scratch.postgres_pid}) as load:
        done = peer.work(race.seconds)
    return done.rate, load, done.jobs


def _pgqueuer(race: Race, peer: peers.Pgqueuer) -> tuple[float, machine.Load, float]:
    race.scratch.quiet()
    with machine.metered({"postgres": race.scratch.postgres_pid}) as load:
        done = peer.enqueue(race.seconds, PEER_CALLERS)
    return done.rate, load, done.jobs


def _noop(race: Race, litestar: service.Service) -> tuple[float, machine.Load, float]:
    race.scratch.quiet()
    with machine.metered({"litestar": litestar.pid}) as load:
        credentials = [f"tsw_{number:064x}" for number in range(AGENTS)]
        result = wrk.run("noop", litestar.url, credentials, race.scratch.folder, callers=AGENTS, seconds=race.seconds)
    return result.rate, load, result.jobs


def _fresh(race: Race) -> Row:
    """A database that nobody has analyzed: plans made on empty tables must serve a backlog as well."""
    database = race.scratch.tessera("fresh")
    with service.control_plane(race.scratch.folder, race.scratch.url(database)) as plane:
        tessera = Tessera(race, database, plane)
        tessera.load("submit", 1)  # every plan is made while there is next to nothing
        tessera.fill(settled=False)
        race.run("claim, complete on a fresh database", lambda: tessera.load("claim_complete"))
    name = "claim, complete on a fresh database"
    share = race.median(name) / race.median("claim, complete")
    return Row(
        name="fresh database, never analyzed: same rate",
        value=f"{share:.2f} x",
        notes=[race.note(name)],
        figures={"ratio": share, "rate": race.median(name)},
    )


def _rows(race: Race) -> list[Row]:
    both, peer = race.median("claim, complete"), race.median("procrastinate")
    carried, claims, bare = race.median("complete with next claim"), race.median("claims"), race.median("bare Litestar")
    submits, enqueued = race.median("submits"), race.median("pgqueuer enqueue")
    waited = race.latencies["claim_complete"][-1]
    return [
        at_least(
            "claim and complete over HTTP, 64 agents",
            both / peer,
            2.0,
            against="procrastinate",
            notes=[
                "the goal is 2.5 x",
                race.note("claim, complete")
                + f"; a request takes {waited.p50_ms:.0f} ms (p50), {waited.p99_ms:.0f} ms (p99)",
                race.note("procrastinate"),
            ],
            figures={"ratio": both / peer, "tessera_rate": both, "procrastinate_rate": peer},
        ),
        Row(
            name="complete that carries the next claim",
            value=f"{carried / both:.2f} x apart",
            notes=[race.note("complete with next claim")],
            figures={"ratio": carried / both, "rate": carried},
        ),
        at_least(
            "claims alone over HTTP, 64 agents",
            claims / bare,
            0.6,
            against="bare Litestar",
            notes=[race.note("claims"), race.note("bare Litestar")],
            figures={"ratio": claims / bare, "claims_rate": claims, "litestar_rate": bare},
        ),
        at_least(
            "submits over HTTP, 64 callers",
            submits / enqueued,
            1.0,
            against="pgqueuer, 10 callers",
            notes=[race.note("submits"), race.note("pgqueuer enqueue")],
            figures={"ratio": submits / enqueued, "submit_rate": submits, "pgqueuer_rate": enqueued},
        ),
    ]

"""One schedule: a few runs, a few workers, and everything that may happen to them.

First the faults, for a bounded number of steps; then quiet: people answer everything, the
sweeper comes round, and every run must come to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final

from policy.core.json import Json
from policy.core.money import Limits, Unit
from policy.errors import ApprovalNotOpen
from runs.core.lifecycle import FINAL, Reason
from runs.core.plan import first_checkpoint
from runs.testing import clocks, people
from runs.testing.playing import Clock
from runs.testing.rows import ApprovalRow, RunRow
from runs.testing.simulation import outside, verdict
from runs.testing.simulation.bugs import NONE, Bug
from runs.testing.simulation.families import PLAYED
from runs.testing.simulation.ground import LEASE, Ground
from runs.testing.simulation.groups import Groups
from runs.testing.simulation.post import Post
from runs.testing.simulation.programs import LITTLE, SMALL, TOLD
from runs.testing.simulation.workers import SLOW, Worker

WORKERS: Final = 3
FAULTY_STEPS: Final = 160
QUIET_STEPS: Final = 20_000
JUMPS: Final = (30, 3600)
STOPS: Final = (61, 200, 4000)
LONGEST_SLEEP: Final = timedelta(seconds=max(*SLOW, *STOPS))
OFTEN: Final = (*sorted(PLAYED), "fan", "fan", "told")
"""The programs that runs are drawn from; those that many bugs hide in come more often."""

SECONDS_TO_LOOK: Final = 2 * LEASE
"""Nobody says what became of a call before everything in flight has landed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of a schedule."""

    seed: int
    violations: list[str]
    fired: Counter[str]
    ends: Counter[str]


def play(seed: int, *, bug: Bug = NONE, tell: Callable[[str], None] | None = None) -> Played:
    """Play one schedule and judge it; `tell` hears its story."""
    schedule = Schedule(seed, bug, tell)
    schedule.go()
    return Played(
        seed=seed,
        violations=schedule.ground.violations,
        fired=schedule.ground.fired,
        ends=Counter(f"{r.agent} {r.state}" for r in schedule.ground.store.runs.values()),
    )


class Schedule:
    """Scheduler, broker, sweeper, keeper of leases and people in one; all chance is its seed's."""

    def __init__(
        self,
        seed: int,
        bug: Bug,
        tell: Callable[[str], None] | None,
        names: tuple[str, ...] = (),
    ) -> None:
        """Set it up; `names` are the programs of a schedule without faults."""
        chance = Random(seed)  # noqa: S311 - chance that can be repeated
        clock = Clock()
        self.bug = bug
        self.ground = Ground(
            chance=chance, clock=clock, store=bug.store(clock, policy_version="memory")
        )
        if tell is not None:
            self.ground.tell = lambda what: tell(f"{clock.now:%d %H:%M:%S} {what}")
        self.ground.faulty = not names
        self.post = Post(self.ground, bug)
        self.groups = Groups(self.ground, bug) if chance.random() < 0.5 else None  # noqa: PLR2004
        self.workers: list[Worker] = []
        self.hired = 0
        self._keys = Counter[str]()
        self._cast(names)

    def _cast(self, given: tuple[str, ...]) -> None:
        """Accept the runs: now and then one with a deadline, now and then with little money."""
        chance, store = self.ground.chance, self.ground.store
        names = given or chance.choices(OFTEN, k=chance.choice((1, 2, 2, 3)))
        if chance.random() < 0.5:  # noqa: PLR2004 - a share
            store.hall.seats = chance.choice((1, 2, 3))
        shared = SMALL if chance.random() < 0.4 else Limits()  # noqa: PLR2004 - a share
        for number, name in enumerate(names):
            run = RunRow(tenant_id="t", id=f"run-{number}", agent=name, agent_version_id=name)
            if self.ground.strikes("deadline", 0.08):
                run.deadline = self.ground.clock.now + timedelta(seconds=chance.choice((20, 900)))
                run.deadline_stops = self.ground.strikes("deadline_stops", 0.5)
                self.ground.touch(run)
            first = first_checkpoint(PLAYED[name].graph, "go")
            ends = PLAYED[name].on_exhausted == "cancel"  # nobody raises a run's own budget
            own = LITTLE if ends and self.ground.strikes("little_money", 0.3) else Limits()
            self._act(partial(store.start, run, first, budgets={"all": shared, run.id: own}))

    @property
    def _is_over(self) -> bool:
        return all(run.state in FINAL for run in self.ground.store.runs.values())

    def go(self) -> None:
        """Play it to its end, and judge it."""
        for _ in range(FAULTY_STEPS if self.ground.faulty else 0):
            self._step()
        self._quiet()
        verdict.judge(self.ground)
        for worker in self.workers:
            worker.kill()

    def _quiet(self) -> None:
        """Let it end: the steps that it has for that count from when the last sleeper wakes.

        What began among the faults may sleep for an hour yet, and others that wait for its
        money look for it every few seconds.
        """
        self.ground.faulty = False
        self.ground.tell("quiet")
        self._play_on(until=self.ground.clock.now + LONGEST_SLEEP)
        self._play_on(until=None)

    def _play_on(self, *, until: datetime | None) -> None:
        """Play until everything is over, that moment has passed, or the steps are used up."""
        for _ in range(QUIET_STEPS):
            if self._is_over and all(worker.is_idle for worker in self.workers):
                return
            if until is not None and self.ground.clock.now > until:
                return
            self._step()

    # --- One step ----------------------------------------------------------------------------

    def _step(self) -> None:
        ground = self.ground
        if ground.faulty:
            self._people()
            self._broken_things()
        ready = [worker for worker in self.workers if worker.is_ready(ground.clock.now)]
        due = [n for n, (when, _) in enumerate(self.post.broker) if when <= ground.clock.now]
        if due and (not ready or ground.chance.random() < 0.3) and self._deliver(due):  # noqa: PLR2004
            return
        if ready:
            self._work(ground.chance.choice(ready))
        else:
            self._time_passes()

    def _deliver(self, due: list[int]) -> bool:
        """Give a message, in any order, to a worker that has nothing to do."""
        idle = next((worker for worker in self.workers if worker.is_idle), None)
        working = sum(not worker.is_stopped for worker in self.workers)
        if idle is None and working >= WORKERS:
            return False
        if idle is None:
            self.hired += 1
            name, post, groups = self.hired, self.post, self.groups
            idle = Worker(self.ground, name, post=post, groups=groups, keyed=self._keyed)
            self.workers.append(idle)
        _, nudge = self.post.broker.pop(self.ground.chance.choice(due))
        self.ground.tell(f"{idle.name}: gets {nudge.run_id} {nudge.task}")
        idle.begin(nudge)
        return True

    def _keyed(self, key: str) -> str:
        self._keys[key] += 1
        return f"{key}#{self._keys[key]}" if self.bug.mints_keys else key

    def _work(self, worker: Worker) -> None:
        ground = self.ground
        if ground.strikes("worker_killed", 0.01):
            ground.tell(f"{worker.name}: killed")
            worker.kill()
            self.workers.remove(worker)
        elif ground.strikes("worker_stopped", 0.005):
            worker.is_stopped = True
            worker.until = ground.clock.now + timedelta(seconds=ground.chance.choice(STOPS))
        else:
            worker.step()
            if worker.is_dead:
                worker.kill()
                self.workers.remove(worker)

    def _broken_things(self) -> None:
        ground = self.ground
        if ground.strikes("broker_emptied", 0.003):
            self.post.broker.clear()
        if ground.strikes("clock_jump", 0.004):
            ground.jump(timedelta(seconds=ground.chance.choice(JUMPS)))

    def _time_passes(self) -> None:
        """Go to the next moment at which something happens; leases are kept, mostly."""
        ground = self.ground
        moments = [worker.until for worker in self.workers if worker.until is not None]
        moments += [when for when, _ in self.post.broker]
        for run in ground.store.runs.values():
            if run.state not in FINAL and (due := clocks.due(ground.store, run)) is not None:
                moments.append(due)
            if run.state not in FINAL and run.deadline is not None:
                moments.append(run.deadline)
        ahead = [m for m in moments if m > ground.clock.now]
        soon = ground.clock.now + timedelta(seconds=5)
        ground.clock.now = max(soon, min(ahead)) if ahead and not ground.faulty else soon
        if ground.faulty and ahead:
            ground.clock.now = min(ahead) if ground.chance.random() < 0.5 else soon  # noqa: PLR2004
        if not ground.strikes("renewal_failed", 0.1):
            for worker in self.workers:
                worker.renew()
        if not ground.faulty:
            self._people_at_last()
        self._sweep()

    def _sweep(self) -> None:
        if self.ground.strikes("sweeper_absent", 0.6):
            return
        for _ in range(2 if self.ground.strikes("sweeper_twice", 0.1) else 1):
            people.sweep(self.ground.store, blind_to=self.bug.blind_to)
            self.ground.look()
            self.post.relay()

    # --- People ------------------------------------------------------------------------------

    def _act(self, do: Callable[[], object]) -> None:
        """Have people do something; its messages leave after the commit, or its process dies."""
        store, ground = self.ground.store, self.ground
        before = set(store.outbox)
        do()
        ground.look()
        if not ground.strikes("sender_killed", 0.05):
            self.post.carry(nudge for n, nudge in store.outbox.items() if n not in before)

    def _people(self) -> None:
        ground = self.ground
        if ground.chance.random() < 0.05:  # noqa: PLR2004 - now and then
            for approval in list(ground.store.approvals.values()):
                if approval.state == "open":
                    self._decide(approval)
        if ground.strikes("cancelled", 0.001):
            self._cancel(ground.chance.choice(list(ground.store.runs.values())))
        if ground.strikes("budget_raised", 0.002) and self._is_limited:
            self._raise()
        if ground.chance.random() < 0.02:  # noqa: PLR2004 - now and then
            self._signal(ground.chance.choice(list(ground.store.runs.values())))

    def _people_at_last(self) -> None:
        """Answer what is open, let the parked go on, and find the money."""
        ground = self.ground
        for approval in list(ground.store.approvals.values()):
            if approval.state == "open":
                self._decide(approval)
        for run in ground.store.runs.values():
            if run.reason in people.PARKED:
                self._act(partial(people.resume, ground.store, run, "mended"))
                ground.deaths[run.id] = 0
            elif run.reason is Reason.SIGNAL:
                self._signal(run)
            elif run.reason is Reason.BUDGET and run.due_at is None and self._is_limited:
                self._raise()

    @property
    def _is_limited(self) -> bool:
        return self.ground.store.budgets["all"].limits.cost is not None

    def _raise(self) -> None:
        more = partial(people.raise_budget, self.ground.store, "all")
        self._act(partial(more, Unit.COST, Decimal(2)))
        self._act(partial(more, Unit.MODEL_CALLS, Decimal(4)))

    def _signal(self, run: RunRow) -> None:
        """Send the next signal that a run is to be told, perhaps twice, perhaps early."""
        number = len(run.signals) + 1
        if run.state in FINAL or number > TOLD.get(run.agent, 0):
            return
        for _ in range(2 if self.ground.strikes("signal_doubled", 0.3) else 1):
            store = self.ground.store
            self._act(partial(people.signal, store, run, "word", number, str(number)))

    def _cancel(self, run: RunRow) -> None:
        if run.state not in FINAL:
            self.ground.touch(run)
            self.ground.tell(f"{run.id}: cancelled by a person")
            self._act(partial(people.cancel, self.ground.store, run, "changed my mind"))

    def _decide(self, approval: ApprovalRow) -> None:
        """Decide one: truthfully, where it is asked whether something happened."""
        ground = self.ground
        decision, result = "approve", None
        if approval.kind == "outcome_unknown":
            asked = approval.expires_at - timedelta(days=7)
            if ground.clock.now < asked + timedelta(seconds=SECONDS_TO_LOOK):
                return
            what = outside.thing(approval.run_id, approval.tool, approval.arguments)
            did = bool(ground.books.happened[what])
            decision = "happened" if did else "not_happened"
            result = outside.result(approval.tool, approval.arguments) if did else None
        elif ground.strikes("rejected", 0.1):
            decision = "reject"
        self._say(approval, decision, result, "person")
        if ground.strikes("two_reviewers", 0.2):
            if self.bug.decides_twice:
                approval.state = "open"
            self._say(approval, decision, result, "somebody else")

    def _say(self, approval: ApprovalRow, decision: str, result: Json, who: str) -> None:
        said = partial(people.decide, self.ground.store, approval, decision)
        try:
            self._act(partial(said, reason="no", result=result, by=who))
        except ApprovalNotOpen:
            return
        if decision == "reject":
            self.ground.touch(self.ground.store.runs[approval.run_id])
        self.ground.tell(f"{who} says {decision} to {approval.id} of {approval.run_id}")

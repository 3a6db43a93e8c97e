"""Play an agent in memory: the real engine, a simulated clock, a model that plays a script.

    played = play("refunds", {"order": 1}, model=[calls(("crm.read", {"order": 1})), "Done."])
    assert played.state == "succeeded"
    assert played.calls[0].name == "crm.read"

Time passes by itself where a run waits for a moment; it stops where a run waits for a
person, for money, or has ended. What a person does then carries it on:

    played = play("refunds", {"order": 7}, model=..., policy=Path("policy.yaml"))
    assert played.state == "interrupted"
    played.approve()

`crash_before_write=n` kills the process before its n-th write to the store; a new one
takes over when the lease has run out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import inf
from typing import Any, Final

from policy.core.json import Json, JsonObject
from policy.core.money import Balance, Limits, Unit
from policy.errors import InvalidDecision
from policy.provenance.answers import Rules as AnswerRules
from runs.advance import Burst, Engine
from runs.agents.program import Program
from runs.agents.reviewable import why_not_correct
from runs.core.channels import Log
from runs.core.checkpoint import decode
from runs.core.effects import effect_key
from runs.core.lifecycle import FINAL, RunState
from runs.core.plan import first_checkpoint
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import Nudge
from runs.shell import Shell
from runs.testing import arranging, clocks, people
from runs.testing.arranging import Model, Rules
from runs.testing.dying import Fate, Mortal
from runs.testing.rows import ApprovalRow, RunRow
from runs.testing.store import MemoryStore
from runs.testing.world import Call, MemoryWorld, StandIns

LEASE: Final = 60.0
MOST_NUDGES: Final = 10_000
TENANT: Final = "test"
BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """Time that passes when it is told to."""

    now: datetime = BEGINNING

    def __call__(self) -> datetime:
        """Give the present moment."""
        return self.now

    def forward(self, to: datetime) -> None:
        """Go to a moment; never back."""
        self.now = max(self.now, to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A line of the ledger, as an author's test looks at it."""

    key: str
    kind: str
    name: str
    state: str
    request: Json
    outcome: Json
    error_class: str
    attempts: int
    cost: Decimal
    decision: JsonObject


def play(  # noqa: PLR0913 - a test's whole arrangement, read by keyword
    agent: str | Program,
    run_input: Json,
    *,
    model: Model | None = None,
    models: Mapping[str, Model] | None = None,
    policy: Rules | None = None,
    answers: AnswerRules | None = None,
    tools: StandIns | None = None,
    hooks: StandIns | None = None,
    budget: Limits | None = None,
    deadline: timedelta | None = None,
    crash_before_write: int | Iterable[int] = (),
    programs: Iterable[str | Program] = (),
) -> Played:
    """Run an agent in memory until it ends or waits for somebody.

    `agent` is a program or the name of one that was declared. `model` answers whatever
    model is asked; `models` answer by name. Without a `policy` every granted tool is
    allowed; give rules, a document, or the path of one. `answers` say what is looked for in the
    run's answer. `tools` are functions that take
    the place of declared tools, `hooks` of their reconcile hooks. `programs` are the agents
    that it may start runs of.

    Raises:
        UnknownAgent: no agent of that name was declared.
        InvalidInput: the input does not fit the agent.
    """
    program = arranging.program(agent)
    deaths = [crash_before_write] if isinstance(crash_before_write, int) else crash_before_write
    world = MemoryWorld(
        programs={program.version: program, **arranging.others(programs)},
        rules=arranging.policy(policy),
        answers=answers or AnswerRules(),
        stand_ins=tools or {},
        hooks=hooks or {},
        models=arranging.models(model, models or {}),
    )
    played = Played(program, world, Fate(frozenset(deaths)))
    played._start(run_input, budget, deadline)  # noqa: SLF001 - the two are one thing
    return played


class Played:
    """A run that was played: what came of it, and what people may do to go on with it."""

    def __init__(self, program: Program, world: MemoryWorld, fate: Fate) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.world, self._program, self._fate = world, program, fate
        self._ids, self._workers = count(1), count(1)
        self._run = RunRow(
            tenant_id=TENANT, id="run-1", agent=program.name, agent_version_id=program.version
        )

    def _start(self, run_input: Json, budget: Limits | None, deadline: timedelta | None) -> None:
        run, program = self._run, self._program
        deadline = deadline or program.deadline
        run.deadline = None if deadline is None else self.clock.now + deadline
        run.deadline_stops = program.deadline_stops_for_people
        first = first_checkpoint(program.graph, program.accept(run_input))
        self.store.start(run, first, budgets={"run": budget or program.budget})
        self._go_on()

    # --- What came of it ---------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """Give the run's state."""
        return self._run.state

    @property
    def reason(self) -> str:
        """Say what the run waits for, if it waits."""
        return self._run.reason

    @property
    def output(self) -> Json:
        """Give what the agent returned."""
        return self._run.output

    @property
    def error(self) -> str:
        """Say why the run ended other than well."""
        parts = (self._run.error_class, self._run.error_detail)
        return ": ".join(part for part in parts if part)

    @property
    def super_steps(self) -> int:
        """Count the committed super-steps."""
        return self._run.super_step

    @property
    def effects(self) -> list[Effect]:
        """List the ledger: every model and tool call asked for, in the order of its keys."""
        return [
            Effect(
                key=effect_key(self._run.id, place),
                kind=row.kind,
                name=row.name,
                state=row.state,
                request=row.request,
                outcome=row.outcome,
                error_class=row.error_class,
                attempts=row.attempt,
                cost=row.cost,
                decision=row.decision,
            )
            for place, row in sorted(self._run.effects.items())
        ]

    @property
    def calls(self) -> list[Call]:
        """List the calls that reached a tool, as somebody outside would have seen them."""
        return list(self.world.calls)

    @property
    def channels(self) -> dict[str, Any]:
        """Give the run's state: every channel that was written, logs as lists."""
        run = self._run
        rows = run.checkpoints[run.super_step]
        written: Mapping[str, int] = rows.head["written"]
        logs: Mapping[str, int] = rows.head.get("logs", {})
        values = {n: run.checkpoints[s].writes[n] for n, s in written.items() if n not in logs}

        def read_log(name: str) -> Callable[[], list[Json]]:
            return lambda: self.store.read_log(run.id, run.tenant_id, name, run.super_step)

        found = decode(run.super_step, rows.head, values, read_log).channels
        return {n: list(v) if isinstance(v, Log) else v for n, v in found.items()}

    @property
    def messages(self) -> list[Json]:
        """Give the conversation of a react agent."""
        messages: list[Json] = self.channels.get("messages", [])
        return messages

    @property
    def events(self) -> list[tuple[str, JsonObject]]:
        """List what happened, in order."""
        return list(self._run.events)

    @property
    def approvals(self) -> list[ApprovalRow]:
        """List the questions that wait for a person now."""
        return self.store.open_approvals(self._run.id)

    @property
    def budget(self) -> Balance:
        """Give the run's budget: limits, spent, reserved."""
        return self.store.budgets["run"]

    @property
    def children(self) -> list[RunRow]:
        """List the runs that it started, and those that they started, oldest first."""
        return [run for run in self.store.runs.values() if run is not self._run]

    @property
    def writes(self) -> int:
        """Count the writes to the store so far; each is a place to crash before."""
        return self._fate.writes

    # --- What people do ----------------------------------------------------------------------

    def approve(
        self,
        approval: ApprovalRow | None = None,
        *,
        reason: str = "",
        state: JsonObject | None = None,
    ) -> Played:
        """Approve a call (the one that waits, if it is the only one), and go on.

        `state` puts values in the place of reviewable channels.
        """
        return self._decide("approve", approval, reason, state=state)

    def reject(self, reason: str, approval: ApprovalRow | None = None) -> Played:
        """Reject a call; the agent is told the reason. Goes on."""
        return self._decide("reject", approval, reason)

    def happened(self, result: Json, approval: ApprovalRow | None = None) -> Played:
        """Say that a call whose outcome is unknown did happen, and with what result."""
        return self._decide("happened", approval, "", result)

    def not_happened(self, approval: ApprovalRow | None = None) -> Played:
        """Say that a call whose outcome is unknown did not happen; it is made then."""
        return self._decide("not_happened", approval, "")

    def raise_budget(self, unit: Unit | str, amount: Decimal | int) -> Played:
        """Raise a limit of the run's budget, and go on."""
        people.raise_budget(self.store, "run", Unit(unit), Decimal(amount))
        return self._go_on()

    def signal(self, name: str, payload: Json = None, *, id: str = "") -> Played:  # noqa: A002
        """Tell the run something by name, and go on. Usable while the run goes on, too."""
        people.signal(self.store, self._run, name, payload, id)
        return self._go_on()

    def cancel(self, reason: str = "cancelled by the test") -> Played:
        """Cancel the run. Usable from a tool or a model while the run goes on."""
        people.cancel(self.store, self._run, reason)
        return self

    def resume(self, reason: str = "mended by the test") -> Played:
        """Let a parked run go on."""
        people.resume(self.store, self._run, reason)
        return self._go_on()

    def pass_time(self, length: timedelta) -> Played:
        """Let time pass: approvals and deadlines run out. Goes on."""
        self.clock.forward(self.clock.now + length)
        people.sweep(self.store)
        return self._go_on()

    def _decide(
        self,
        decision: str,
        approval: ApprovalRow | None,
        reason: str,
        result: Json = None,
        state: JsonObject | None = None,
    ) -> Played:
        if approval is None:
            if len(self.approvals) != 1:
                raise ValueError(f"{len(self.approvals)} approvals wait; say which one is meant")
            approval = self.approvals[0]
        self._must_fit(state or {})
        people.decide(
            self.store,
            approval,
            decision,
            reason=reason,
            result=result,
            by="tester",
            state=state,
        )
        return self._go_on()

    def _must_fit(self, state: JsonObject) -> None:
        if why := why_not_correct(self._program.graph, state):
            raise InvalidDecision(why)

    # --- Carrying on -------------------------------------------------------------------------

    def _go_on(self) -> Played:
        """Follow nudges, and let time pass, until the run ends or waits for somebody."""
        with ExitStack() as stack:
            for model in {id(m): m for m in self.world.models.values()}.values():
                stack.enter_context(model)
            while self._a_process_works():
                pass
        return self

    def _a_process_works(self) -> bool:
        """Work as one process until it dies (True: another takes over) or nothing is left."""
        with self._process() as (engine, mortal):
            for _ in range(MOST_NUDGES):
                if (nudge := self._next_nudge()) is None:
                    return False
                try:
                    engine.advance(nudge)
                except BaseException:
                    if not mortal.is_dead:
                        raise
                    return True
                if mortal.is_dead:
                    return True
        raise AssertionError(f"the run was still not at rest after {MOST_NUDGES} nudges")

    def _next_nudge(self) -> Nudge | None:
        """Take the oldest message; where there is none, go to the next moment that matters."""
        if not self.store.outbox:
            live = [run for run in self.store.runs.values() if run.state not in FINAL]
            moments = [due for run in live if (due := clocks.due(self.store, run)) is not None]
            if not moments:
                return None
            moment = min(moments)
            self.clock.forward(moment)
            people.sweep(self.store)
        return self.store.outbox.pop(min(self.store.outbox)) if self.store.outbox else None

    @contextmanager
    def _process(self) -> Iterator[tuple[Engine, Mortal]]:
        mortal = Mortal(self.store, self._fate)
        keeper = LeaseKeeper(lambda leases: self.store.renew(leases, ttl=LEASE), ttl=LEASE)
        shell = Shell(
            store=mortal,
            world=replace(self.world, pulse=mortal.pulse),
            loop=IoLoop(),
            clock=self.clock,
            mint=lambda: f"approval-{next(self._ids)}",
            worker=f"worker-{next(self._workers)}",
            ttl=LEASE,
        )
        burst = Burst(seconds=inf)
        try:
            yield Engine(shell=shell, keeper=keeper, send=_leave_it, burst=burst), mortal
        finally:
            shell.loop.close()
            keeper.close()


def _leave_it(_: Iterable[Nudge]) -> None:
    """Leave messages in the outbox, where they are taken from."""

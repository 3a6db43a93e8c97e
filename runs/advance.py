"""The heart: take a run through super-steps.

    nudge ─▶ claim ─▶ load ─▶ plan ─▶ execute ─▶ reconcile ─▶ save ─▶ nudge
             tx                pure    tx per     pure         tx
                                       effect

A worker carries a run on for a bounded burst; every super-step is its own commit under
the lease's token. A super-step of several tasks is fanned out, one message for each, and
whoever finishes the last one goes on with the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, assert_never

import structlog

from policy.core.outcomes import ErrorClass
from runs import faults, guarding, saving
from runs.again import claim_again
from runs.agents.program import Program
from runs.answering import reconciled
from runs.brake import Brake
from runs.carrier import Work, finish
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.graph import Graph
from runs.core.lifecycle import FINAL, Reason, RunState
from runs.core.plan import Execute, Reconcile, Stop, plan
from runs.core.reconcile import Advance, Commit, Exhaust, Fail, Suspend
from runs.core.results import Broken, Finished, Held, TaskResult
from runs.errors import LeaseLost, StoreAway, UnknownAgent, UnknownVersion
from runs.execute import Executed, execute
from runs.leases import LeaseKeeper
from runs.ports import Claimed, Lease, Nudge, Save, Saved
from runs.reading import checkpoint_of
from runs.shell import Shell

log = structlog.get_logger()

CRASHES_OF_A_TASK = 5
"""How many workers one task may cost before its run is parked as poison."""

CANCELLED = RunState.CANCELLED, ErrorClass.CANCELLATION, "cancelled on request"
EXPIRED = RunState.EXPIRED, ErrorClass.TIMEOUT, "past its deadline"
CALLED_OFF = Broken(error_class=ErrorClass.CANCELLATION, detail="the run was called off")


class Advanced(StrEnum):
    """How a nudge ended."""

    HELD_ELSEWHERE = "held_elsewhere"
    PASSED_ON = "passed_on"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"
    STORE_AWAY = "store_away"
    GONE_ON = "gone_on"  # where the store went away: it ended, or waits, or others have it
    FANNED_OUT = "fanned_out"
    KEPT = "kept"
    CHAINED = "chained"
    SET_ASIDE = "set_aside"
    ENDED = "ended"


MAKES_ROOM = frozenset({Advanced.ENDED, Advanced.SET_ASIDE, Advanced.KEPT, Advanced.GONE_ON})
"""After these a seat may be free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """How far one message may carry a run: so many super-steps, so many seconds."""

    super_steps: int = 20
    seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Advances runs in one process."""

    shell: Shell
    keeper: LeaseKeeper
    send: Callable[[Iterable[Nudge]], None]
    burst: Burst = field(default_factory=Burst)

    def advance(self, nudge: Nudge) -> Advanced:
        """Follow a nudge to its end in this thread, which waits for whatever it waits for."""
        return finish(self.following(nudge), self.shell.loop.run)

    def following(self, nudge: Nudge) -> Work[Advanced]:
        """Follow a nudge, as work that a `Carrier` carries on.

        Safe to call twice, late, or from two workers at once: only the newest lease can
        commit, and an effect asked again finds its first answer.
        """
        if self.shell.draining.is_set():
            self.send([nudge])
            return Advanced.PASSED_ON
        try:
            if (advanced := (yield from self._followed(nudge))) in MAKES_ROOM:
                self.shell.feed()
            return advanced  # noqa: TRY300 - what was held is given back by then
        except LeaseLost as lost:
            log.info("lease.lost", run_id=str(lost.run_id), fencing_token=lost.fencing_token)
            return Advanced.LEASE_LOST
        except StoreAway as away:
            log.warning("store.away", run_id=nudge.run_id, detail=str(away))
            return Advanced.STORE_AWAY

    def _followed(self, nudge: Nudge) -> Work[Advanced]:
        """Follow a nudge; where the store goes away under it, take what it names once more."""
        held: list[Claimed] = []
        try:
            return (yield from self._follow(nudge, held))
        except StoreAway as away:
            if self.shell.draining.is_set():
                raise
            log.warning("store.away", run_id=nudge.run_id, detail=str(away), again=True)
        claimed = claim_again(self.shell, self.keeper, nudge, held[-1] if held else None)
        if claimed is None:
            return Advanced.GONE_ON
        if self.shell.draining.is_set():  # it began while the store was waited for
            return self.release(claimed.lease)
        onward = self._task if claimed.lease.task else self._run
        return (yield from onward(claimed.awake(), held))

    def _follow(self, nudge: Nudge, held: list[Claimed]) -> Work[Advanced]:
        store, shell = self.shell.store, self.shell
        if nudge.task:
            faults.point("claim_task.before")
            claimed = store.claim_task(nudge, worker=shell.worker, ttl=shell.ttl)
            if claimed is None:
                return Advanced.HELD_ELSEWHERE
            return (yield from self._task(claimed, held))
        faults.point("claim.before")
        claimed = store.claim(nudge.tenant_id, nudge.run_id, worker=shell.worker, ttl=shell.ttl)
        if claimed is None:
            self.keeper.look_at(nudge.run_id)  # it may have been cancelled: we may hold it
            return Advanced.HELD_ELSEWHERE
        return (yield from self._run(claimed.awake(), held))

    def release(self, lease: Lease, executed: Executed | None = None) -> Advanced:
        """Give a run or task back unfinished, so that another process goes on at once.

        Raises:
            LeaseLost: somebody else holds it already.
        """
        effects = () if executed is None else executed.effects
        self.send([self.shell.store.release(lease, effects)])
        return Advanced.RELEASED

    def _task(self, claimed: Claimed, held: list[Claimed]) -> Work[Advanced]:
        """Run one fanned-out task, and go on with the run if it was the last."""
        held.append(claimed)
        faults.point("claim_task.after")
        brake = Brake()
        with self.keeper.keeping(claimed.lease, brake):
            executed = yield from self._execute_task(claimed, brake)
            if executed.released:
                return self.release(claimed.lease, executed)
            faults.point("finish_task.before")
            whole = self.shell.store.finish_task(
                claimed.lease, executed.result, executed.effects, ttl=self.shell.ttl
            )
        faults.point("finish_task.after")
        return Advanced.KEPT if whole is None else (yield from self._run(whole, held))

    def _execute_task(self, claimed: Claimed, brake: Brake) -> Work[Executed]:
        if claimed.crashes >= CRASHES_OF_A_TASK:
            return Executed(result=Held(reason=Reason.POISON))
        if claimed.cancel:
            return Executed(result=CALLED_OFF)
        try:
            program = self.shell.world.program(claimed)
            checkpoint = checkpoint_of(self.shell.store, claimed)
        except (UnknownAgent, UnknownVersion):
            return Executed(result=Held(reason=Reason.VERSION))
        task = next(t for t in checkpoint.tasks if t.id == claimed.lease.task)
        return (yield from execute(self.shell, claimed, program, checkpoint, task, brake))

    def _run(self, claimed: Claimed, held: list[Claimed]) -> Work[Advanced]:
        held.append(claimed)
        faults.point("claim.after")
        if (over := self.over(claimed)) is not None:  # before it is loaded: that may be what kills
            return over
        try:
            program = self.shell.world.program(claimed)
            checkpoint = checkpoint_of(self.shell.store, claimed)
        except (UnknownAgent, UnknownVersion) as error:
            return self._park(claimed, str(error))
        with structlog.contextvars.bound_contextvars(
            run_id=claimed.lease.run_id, tenant_id=claimed.lease.tenant_id, agent=claimed.agent
        ):
            return (yield from _Carrying(self, claimed, program, checkpoint).on())

    def _park(self, claimed: Claimed, why: str) -> Advanced:
        save = Save(
            state=RunState.INTERRUPTED,
            wakeups=claimed.wakeups,
            reason=Reason.VERSION,
            error_class=ErrorClass.NONDETERMINISM,
            error_detail=why,
            events=[("run.parked", {"reason": Reason.VERSION, "detail": why})],
        )
        saved = self.save(claimed.lease, save)
        return Advanced.ENDED if saved.state in FINAL else Advanced.SET_ASIDE

    def over(self, claimed: Claimed) -> Advanced | None:
        """End a run that was cancelled or is past its deadline."""
        if claimed.cancel:
            return self.end(claimed, *CANCELLED)
        if claimed.deadline is None or max(self.shell.clock(), claimed.now) < claimed.deadline:
            return None
        return self.end(claimed, *EXPIRED)

    def end(
        self,
        claimed: Claimed,
        state: RunState,
        error_class: ErrorClass,
        detail: str,
        done: Executed | None = None,
    ) -> Advanced:
        """Commit a run's end, with what its effects came to."""
        save = saving.ending(claimed.wakeups, state, error_class, detail)
        self.save(claimed.lease, saving.with_effects(save, list(done.effects) if done else []))
        return Advanced.ENDED

    def save(self, lease: Lease, save: Save) -> Saved:
        """Commit; a run that was cancelled meanwhile ends so, and what happened is kept."""
        faults.point("save.before")
        saved = self.shell.store.save(lease, save, ttl=self.shell.ttl)
        faults.point("save.after")
        if saved.called_off:
            saved = self._save_end(lease, save)
        if saved.others:  # whoever waits for this run, and whom it leaves behind
            faults.point("family.before")
            self.send(saved.others)
            faults.point("family.sent")
        return saved

    def _save_end(self, lease: Lease, save: Save) -> Saved:
        end = saving.with_effects(saving.ending(save.wakeups, *CANCELLED), list(save.effects))
        return self.shell.store.save(lease, end, ttl=self.shell.ttl)


class _Carrying:
    """One run, carried from super-step to super-step under one lease."""

    def __init__(
        self, engine: Engine, claimed: Claimed, program: Program, checkpoint: Checkpoint
    ) -> None:
        self.engine, self.shell = engine, engine.shell
        self.claimed, self.program, self.checkpoint = claimed, program, checkpoint
        self.steps = 0
        self.until = time.monotonic() + engine.burst.seconds

    @property
    def graph(self) -> Graph:
        return self.program.graph

    @property
    def lease(self) -> Lease:
        return self.claimed.lease

    def on(self) -> Work[Advanced]:
        """Go on until the run ends, waits, fans out, or the burst is over."""
        while True:
            brake = Brake()
            with self.engine.keeper.keeping(self.lease, brake):
                ended = yield from self._super_step(brake)
            if ended is not None:
                return ended

    def _super_step(self, brake: Brake) -> Work[Advanced | None]:
        if (over := self.engine.over(self.claimed)) is not None:
            return over
        leave = guarding.leave(self.claimed)
        planned = plan(self.graph, self.checkpoint, self.claimed.kept, leave=leave)
        match planned:
            case Stop() as stop:
                return self._stop(stop)
            case Reconcile():
                return self._reconcile({})
            case Execute(tasks=(only,)):
                return (yield from self._execute(only, brake))
            case Execute(tasks=tasks):
                faults.point("fan_out.before")
                nudges = self.shell.store.fan_out(self.lease, [task.id for task in tasks])
                faults.point("fan_out.after")
                self.engine.send(nudges)
                faults.point("fan_out.sent")
                return Advanced.FANNED_OUT
            case never:
                assert_never(never)

    def _stop(self, stop: Stop) -> Advanced:
        """End a run that cannot go on, or ask a person where its agent says so."""
        if not stop.asks:
            return self.engine.end(self.claimed, RunState.FAILED, stop.error_class, stop.detail)
        row = guarding.asked(self.claimed)
        if row is not None and row.approval != "open":
            why = f"{stop.detail}; {guarding.refusal(row)}"
            return self.engine.end(self.claimed, RunState.FAILED, stop.error_class, why)
        if row is None:
            guarding.ask(self.shell.store, self.claimed, stop, self.shell.mint)
        saved = self.engine.save(self.lease, guarding.waiting(self.claimed, stop))
        return Advanced.ENDED if saved.state in FINAL else Advanced.SET_ASIDE

    def _execute(self, task: TaskSpec, brake: Brake) -> Work[Advanced | None]:
        done = yield from execute(
            self.shell, self.claimed, self.program, self.checkpoint, task, brake
        )
        if done.released:
            return self.engine.release(self.lease, done)
        if done.stopped is not None:
            return self._called_off(done)
        return self._reconcile({task.id: done})

    def _called_off(self, done: Executed) -> Advanced:
        end = CANCELLED if done.stopped is ErrorClass.CANCELLATION else EXPIRED
        return self.engine.end(self.claimed, *end, done)

    def _reconcile(self, executed: Mapping[str, Executed]) -> Advanced | None:
        results: dict[str, TaskResult] = dict(self.claimed.kept)
        results |= {task: done.result for task, done in executed.items()}
        effects = [effect for done in executed.values() for effect in done.effects]
        effects += guarding.answered(self.claimed)
        heard = [answer for done in executed.values() for answer in done.heard]
        stand = self.shell, self.claimed, self.program, self.checkpoint
        commit, asks = reconciled(*stand, results, heard)
        save = self._save_of(commit, executed)
        if asks is not None:  # what led to the answer is written with the question about it
            guarding.put(self.shell.store, self.claimed, asks, self.shell.mint, before=effects)
            effects = []
        saved = self.engine.save(self.lease, saving.with_effects(save, effects))
        if saved.called_upon and isinstance(commit, Exhaust):  # somebody raised a budget, perhaps
            aside = self._save_of(commit.otherwise, executed)
            saved = self.engine.save(self.lease, saving.with_effects(aside, effects))
        return self._after(commit, saved)

    def _save_of(self, commit: Commit, executed: Mapping[str, Executed]) -> Save:
        wakeups = self.claimed.wakeups
        match commit:
            case Advance() as done:
                self.steps += 1
                ends: list[Any] = [("run.succeeded", {})] if done.ended else []
                return Save(
                    state=RunState.SUCCEEDED if done.ended else self._onward(),
                    wakeups=wakeups,
                    checkpoint=done.checkpoint,
                    writes=done.writes,
                    output=done.output,
                    events=[*done.told, *ends],
                )
            case Suspend() as suspend:
                return saving.set_aside(wakeups, suspend, self._worth_keeping(executed))
            case Exhaust() as exhaust:
                return saving.given_up(wakeups, exhaust, self._worth_keeping(executed))
            case Fail(error_class=error_class, detail=detail):
                return saving.ending(wakeups, RunState.FAILED, error_class, detail)

    def _worth_keeping(self, executed: Mapping[str, Executed]) -> dict[str, TaskResult]:
        """Keep what finished beside a task that waits, so that it is not run again."""
        return {
            task: done.result
            for task, done in executed.items()
            if isinstance(done.result, Finished)
        }

    def _onward(self) -> RunState:
        """Go on in this message while the burst lasts, else chain the next one."""
        burst = self.engine.burst
        lasts = self.steps < burst.super_steps and time.monotonic() < self.until
        return RunState.RUNNING if lasts and not self.shell.draining.is_set() else RunState.QUEUED

    def _after(self, commit: Commit, saved: Saved) -> Advanced | None:
        if saved.state in FINAL:
            return Advanced.ENDED
        if saved.state is RunState.RUNNING:
            self._next(commit, saved)
            return None
        if saved.state is RunState.QUEUED:
            nudge = Nudge(
                tenant_id=self.lease.tenant_id, run_id=self.lease.run_id, outbox_id=saved.sent
            )
            self.engine.send([nudge])
            faults.point("chain.sent")
            return Advanced.CHAINED
        return Advanced.SET_ASIDE

    def _next(self, commit: Commit, saved: Saved) -> None:
        """Stand at the new checkpoint, with an empty ledger and nothing kept."""
        if not isinstance(commit, Advance):
            raise TypeError("only a committed super-step leads to a next one")
        self.checkpoint = commit.checkpoint
        self.claimed.move(commit.checkpoint.super_step, saved)

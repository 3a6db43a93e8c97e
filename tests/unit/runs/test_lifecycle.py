"""The table of legal moves, and a machine that tries to find a way around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from policy.core.money import Amounts, Limits, Unit
from policy.core.outcomes import Usage
from policy.errors import ApprovalNotOpen, InvalidDecision
from runs.core.checkpoint import Checkpoint, TaskSpec
from runs.core.effects import EffectKind, EffectState, Place
from runs.core.lifecycle import FINAL, HELD_BACK, NEXT, Reason, RunState, may_move
from runs.core.results import Finished, Held
from runs.errors import IllegalMove, LeaseLost
from runs.ports import Claimed, Nudge, Put, PutEffect, Question, Save, Settled
from runs.testing import MemoryStore, RunRow, people

TENANT, LEASE = "here", 60.0


def test_every_state_has_its_row_in_the_table_of_moves() -> None:
    assert NEXT.keys() == set(RunState)
    assert {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.EXPIRED} == FINAL


def test_every_run_that_has_not_ended_can_be_cancelled() -> None:
    assert all(may_move(state, RunState.CANCELLED) for state in set(RunState) - FINAL)


def test_what_is_held_back_goes_on_only_through_the_queue() -> None:
    assert all(not may_move(state, RunState.RUNNING) for state in HELD_BACK)
    assert all(may_move(state, RunState.QUEUED) for state in HELD_BACK)


class Runs(RuleBasedStateMachine):
    """Workers, zombies, people and the sweeper, all at one run, in any order."""

    claims: Bundle[Claimed] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.now, self.numbers = datetime(2030, 1, 1, tzinfo=UTC), count(1)
        self.store = MemoryStore(lambda: self.now)
        self.run = RunRow(tenant_id=TENANT, id="run-1", agent="a", agent_version_id="1")
        self.run.deadline = self.now + timedelta(hours=2)
        first = Checkpoint(
            super_step=0,
            channels={"input": 1},
            written={"input": 0},
            tasks=(TaskSpec(id="a", node="a"), TaskSpec(id="b", node="b")),
        )
        limits = Limits(tool_calls=3, cost=Decimal(2))
        self.store.start(self.run, first, budgets={"run": limits})
        self.state, self.token = self.run.state, 0

    @rule(target=claims)
    def claim(self) -> Any:
        return self.store.claim(TENANT, "run-1", worker="w", ttl=LEASE) or self._nothing()

    @rule(target=claims, task=st.sampled_from("ab"))
    def claim_task(self, task: str) -> Any:
        nudge = Nudge(tenant_id=TENANT, run_id="run-1", super_step=self.run.super_step, task=task)
        return self.store.claim_task(nudge, worker="w", ttl=LEASE) or self._nothing()

    @rule(claimed=claims)
    def fan_out(self, claimed: Claimed) -> None:
        self._try(lambda: self.store.fan_out(claimed.lease, ["a", "b"]))

    @rule(target=claims, claimed=consumes(claims), held=st.booleans())
    def finish(self, claimed: Claimed, *, held: bool) -> Any:
        result = Held(reason=Reason.APPROVAL) if held else Finished(writes={})
        return (
            self._try(lambda: self.store.finish_task(claimed.lease, result, [], ttl=LEASE))
            or self._nothing()
        )

    @rule(target=claims, claimed=claims, state=st.sampled_from(RunState))
    def save(self, claimed: Claimed, state: RunState) -> Any:
        step = claimed.lease.super_step + 1
        onward = state in {RunState.RUNNING, RunState.QUEUED, RunState.SUCCEEDED}
        checkpoint = Checkpoint(
            super_step=step,
            channels={"input": 1},
            written={"input": 0},
            tasks=(TaskSpec(id="a", node="a"),),
        )
        save = Save(
            state=state,
            wakeups=claimed.wakeups,
            checkpoint=checkpoint if onward else None,
            reason=Reason.APPROVAL if state in HELD_BACK else Reason.NONE,
            due_at=self.now + timedelta(seconds=30) if state is RunState.WAITING else None,
        )
        saved = self._try(lambda: self.store.save(claimed.lease, save, ttl=LEASE))
        if saved is None or saved.state is not RunState.RUNNING:
            return self._nothing()
        return replace(claimed, lease=replace(claimed.lease, super_step=step))

    @rule(claimed=claims, state=st.sampled_from([EffectState.CLAIMED, EffectState.HELD]))
    def put(self, claimed: Claimed, state: EffectState) -> None:
        place = Place(claimed.lease.super_step, claimed.lease.task or "a", 0)
        is_held = state is EffectState.HELD
        wish = PutEffect(
            place=place,
            kind=EffectKind.TOOL,
            name="t",
            version="1",
            effect="once",
            digest="d",
            request={},
            state=state,
            reserve=Amounts() if is_held else Amounts(tool_calls=1, cost=Decimal(1)),
            question=self._question() if is_held else None,
        )
        before = self.run.effects.get(place)
        if before is None or before.state not in {EffectState.DONE, EffectState.FAILED}:
            answer = self.store.put_effect(claimed.lease, wish, [])
            if answer is Put.OK and not is_held:
                done = Settled(
                    place=place, state=EffectState.DONE, usage=Usage(cost=Decimal("0.7"))
                )
                other = replace(wish, place=replace(place, ordinal=1))
                self.store.put_effect(claimed.lease, other, [done])

    @rule()
    def wake(self) -> None:
        people.wake(self.store, self.run, "called", {})

    @rule()
    def cancel(self) -> None:
        self._try(lambda: people.cancel(self.store, self.run, "no"))

    @rule()
    def resume(self) -> None:
        self._try(lambda: people.resume(self.store, self.run, "mended"))

    @rule(decision=st.sampled_from(["approve", "reject"]))
    def decide(self, decision: str) -> None:
        for approval in self.store.open_approvals("run-1"):
            self._try(
                lambda a=approval: people.decide(
                    self.store, a, decision, reason="r", result=None, by="p"
                )
            )

    @rule()
    def raise_budget(self) -> None:
        people.raise_budget(self.store, "run", Unit.TOOL_CALLS, Decimal(1))

    @rule(seconds=st.sampled_from([1, 31, 61, 3601]))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        people.sweep(self.store)

    @invariant()
    def a_run_moves_as_the_table_allows(self) -> None:
        """Or through states between, where one statement makes two moves."""
        now = self.run.state
        direct = now is self.state or may_move(self.state, now)
        assert direct or any(may_move(self.state, s) and may_move(s, now) for s in RunState)
        if self.state in FINAL:
            assert now is self.state
        self.state = now

    @invariant()
    def tokens_never_fall_and_checkpoints_are_contiguous(self) -> None:
        assert self.run.token >= self.token
        self.token = self.run.token
        assert sorted(self.run.checkpoints) == list(range(self.run.super_step + 1))
        tokens = [row.token for _, row in sorted(self.run.checkpoints.items())]
        assert tokens == sorted(tokens)

    @invariant()
    def money_is_never_more_than_its_limit(self) -> None:
        balance = self.store.budgets["run"]
        assert balance.spent.tool_calls + balance.reserved.tool_calls <= (
            balance.limits.tool_calls or 0
        )
        assert balance.spent.cost + balance.reserved.cost <= (balance.limits.cost or 0)

    @invariant()
    def what_is_set_aside_is_what_the_ledger_holds(self) -> None:
        claimed = [e for e in self.run.effects.values() if e.state is EffectState.CLAIMED]
        assert self.store.budgets["run"].reserved.tool_calls == len(claimed)
        assert not (self.run.state in FINAL and claimed)

    @invariant()
    def whoever_waits_has_a_reason_and_whoever_ended_waits_for_nothing(self) -> None:
        assert (self.run.state in HELD_BACK) == bool(self.run.reason)
        assert self.run.state is RunState.RUNNING or self.run.lease_until is None
        if self.run.state in FINAL:
            assert self.store.open_approvals("run-1") == []

    def _question(self) -> Question:
        return Question(
            id=str(next(self.numbers)),
            kind="tool_call",
            digest="d",
            policy_version="1",
            rule="r",
            reason="",
            seconds=3600,
        )

    def _nothing(self) -> Any:
        """A zombie: a lease that nobody gave."""
        found = self.store._claimed(self.run, "z")
        return replace(found, lease=replace(found.lease, token=-1))

    def _try(self, act: Any) -> Any:
        try:
            return act()
        except (LeaseLost, IllegalMove, ApprovalNotOpen, InvalidDecision):
            return None


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

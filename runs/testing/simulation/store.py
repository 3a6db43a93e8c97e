"""The store as a simulated worker reaches it, and the checker that watches what it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from policy.core.json import Json, JsonObject
from policy.core.money import Amounts
from runs.broods import Brood, Wait
from runs.core.effects import EffectKind, EffectState, effect_key
from runs.core.results import TaskResult
from runs.core.told import Told
from runs.ports import (
    Claimed,
    Joined,
    Lack,
    Lease,
    Nudge,
    Put,
    PutEffect,
    Save,
    Saved,
    Settled,
    Spawned,
)
from runs.testing.simulation import kin
from runs.testing.simulation.groups import reach

if TYPE_CHECKING:
    from runs.testing.simulation.workers import Worker

T = TypeVar("T")


class ReachedStore:
    """The store as one worker reaches it: sometimes away, sometimes silent after a commit."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._ground, self._inner = worker, worker.ground, worker.ground.store

    def _call(self, what: str, call: Callable[[], T], run_id: str = "") -> T:
        """Make a statement; one about a run that is named here may share its commit."""

        def told() -> T:
            self._ground.tell(f"{self._worker.name}: {what}")
            return call()

        groups = self._worker.groups
        if groups is None or not run_id:
            return reach(self._ground, told)
        return groups.commit((run_id, "t"), told)

    def _write(
        self,
        what: str,
        lease: Lease,
        call: Callable[[], T],
        settled: Sequence[Settled] = (),
        *,
        alone: bool = False,
    ) -> T:
        def checked() -> T:
            newest, run = self._ground.token(lease), self._inner.runs[lease.run_id]
            for item in settled:
                if item.state is EffectState.DONE:
                    kin.woke(self._ground, run, item.place)
            answer = call()
            if _put(answer) is not Put.LEASE_LOST:
                self._ground.wrote(lease, newest)
            return answer

        place = f"{what} {lease.run_id}/{lease.super_step}/{lease.task}"
        return self._call(place, checked, "" if alone else lease.run_id)

    def _begin(
        self,
        what: str,
        lease: Lease,
        put: PutEffect,
        call: Callable[[], T],
        before: Sequence[Settled],
        *,
        alone: bool = False,
    ) -> T:
        """Write an effect that begins: never after its run was called off."""

        def checked() -> T:
            is_over = kin.called_off(self._inner, self._inner.runs[lease.run_id])
            answer = call()
            begins = put.state is EffectState.CLAIMED or (
                put.kind is EffectKind.CHILD and put.state is EffectState.DONE
            )
            if _put(answer) is Put.OK and is_over and begins:
                self._ground.wrong(
                    f"G2 {effect_key(lease.run_id, put.place)}: begun when called off"
                )
            return answer

        return self._write(what, lease, checked, before, alone=alone)

    def claim(self, tenant_id: str, run_id: str, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim`."""
        return self._call(
            f"claim {run_id}",
            lambda: self._inner.claim(tenant_id, run_id, worker=worker, ttl=ttl),
            run_id,
        )

    def claim_again(
        self,
        nudge: Nudge,
        lease: Lease | None,
        known: Sequence[Settled],
        *,
        worker: str,
        ttl: float,
    ) -> Claimed | None:
        """See `Store.claim_again`: it takes nothing that another worker holds, nor an old token."""

        def checked() -> Claimed | None:
            before = self._ground.held(nudge)
            won = self._inner.claim_again(nudge, lease, known, worker=worker, ttl=ttl)
            if won is not None:
                self._ground.won(won.lease, before)
            return won

        return self._call(f"claim_again {nudge.run_id}/{nudge.task}", checked)

    def claim_task(self, nudge: Nudge, *, worker: str, ttl: float) -> Claimed | None:
        """See `Store.claim_task`."""
        return self._call(
            f"claim_task {nudge.run_id}/{nudge.task}",
            lambda: self._inner.claim_task(nudge, worker=worker, ttl=ttl),
            nudge.run_id,
        )

    def read_log(self, run_id: str, tenant_id: str, channel: str, upto: int) -> list[Json]:
        """See `Store.read_log`."""
        return self._call(
            "read_log", lambda: self._inner.read_log(run_id, tenant_id, channel, upto)
        )

    def read_told(self, lease: Lease, after: int) -> Told:
        """See `Store.read_told`."""
        return self._call("read_told", lambda: self._inner.read_told(lease, after))

    def put_effect(self, lease: Lease, put: PutEffect, before: Sequence[Settled]) -> Put:
        """See `Store.put_effect`."""
        what = f"put_effect {put.name} {put.state}"
        return self._begin(
            what, lease, put, lambda: self._inner.put_effect(lease, put, before), before
        )

    def read_lacking(self, lease: Lease, wanted: Amounts) -> list[Lack]:
        """See `Store.read_lacking`."""
        return self._call("read_lacking", lambda: self._inner.read_lacking(lease, wanted))

    def spawn(
        self, lease: Lease, put: PutEffect, brood: Brood, before: Sequence[Settled]
    ) -> Spawned:
        """See `Store.spawn`."""
        return self._begin(
            "spawn",
            lease,
            put,
            lambda: self._inner.spawn(lease, put, brood, before),
            before,
            alone=True,
        )

    def join(self, lease: Lease, put: PutEffect, wait: Wait, before: Sequence[Settled]) -> Joined:
        """See `Store.join`."""
        return self._write(
            "join", lease, lambda: self._inner.join(lease, put, wait, before), before, alone=True
        )

    def take_signal(
        self, lease: Lease, put: PutEffect, before: Sequence[Settled]
    ) -> tuple[Put, JsonObject | None]:
        """See `Store.take_signal`."""
        return self._write(
            "take_signal",
            lease,
            lambda: self._inner.take_signal(lease, put, before),
            before,
            alone=True,
        )

    def fan_out(self, lease: Lease, tasks: Sequence[str]) -> list[Nudge]:
        """See `Store.fan_out`."""
        return self._write("fan_out", lease, lambda: self._inner.fan_out(lease, tasks), alone=True)

    def finish_task(
        self, lease: Lease, result: TaskResult, effects: Sequence[Settled], *, ttl: float
    ) -> Claimed | None:
        """See `Store.finish_task`."""
        return self._write(
            "finish_task",
            lease,
            lambda: self._inner.finish_task(lease, result, effects, ttl=ttl),
            effects,
        )

    def save(self, lease: Lease, save: Save, *, ttl: float) -> Saved:
        """See `Store.save`."""
        return self._write(
            f"save {save.state}",
            lease,
            lambda: self._inner.save(lease, save, ttl=ttl),
            save.effects,
        )

    def release(self, lease: Lease, effects: Sequence[Settled]) -> Nudge:
        """See `Store.release`."""
        return self._write(
            "release", lease, lambda: self._inner.release(lease, effects), alone=True
        )


def _put(answer: Any) -> Any:
    """Find what the store said of a wish, in whatever form it said so."""
    return answer[0] if isinstance(answer, tuple) else getattr(answer, "put", answer)

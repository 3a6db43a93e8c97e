"""What the engine's statements give, as the engine's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from policy.core.json import Json
from runs.core import results
from runs.core.checkpoint import Checkpoint, decode
from runs.core.effects import EffectState, Place, Recorded
from runs.core.told import Told
from runs.ports import Claimed, Lease, Store


def claimed(
    found: Mapping[str, Any], tenant_id: str, run_id: str, worker: str, task: str = ""
) -> Claimed:
    """Read what a claim gave."""
    deadline = found["deadline"]
    super_step = found["super_step"]
    return Claimed(
        lease=Lease(
            tenant_id=tenant_id,
            run_id=run_id,
            super_step=super_step,
            token=found["task_token"] if task else found["token"],
            worker=worker,
            task=task,
        ),
        agent_version_id=found["agent_version"],
        agent=found["agent"],
        principal_id=found["principal"] or "",
        started_by=found["started_by"],
        wakeups=found["wakeups"],
        deadline=None if deadline is None else datetime.fromtimestamp(deadline, UTC),
        now=datetime.fromtimestamp(found["now"], UTC),
        cancel=found["cancel"],
        policy_version_id=found["policy"],
        head=found["head"],
        values=found["values"],
        kept={name: results.from_json(raw) for name, raw in (found["kept"] or {}).items()},
        ledger=[_recorded(super_step, raw) for raw in found["ledger"] or ()],
        crashes=found.get("crashes", 0),
        roles=tuple(found["roles"] or ()),
        scopes=tuple(found["scopes"] or ()),
        tenant=found["tenant"],
        spent=Decimal(str(found["spent"] or 0)),
        calls=found["calls"] or 0,
        above=tuple(found["above"] or ()),
    )


def told(found: Mapping[str, Any]) -> Told:
    """Read what a run was told."""
    return Told(
        given=found["given"],
        own=found["own"],
        is_child=found["child"],
        is_forked=found["forked"],
        handed=found["handed"],
        skipped=found["skipped"],
        effects=found["effects"],
        is_whole=found["whole"],
    )


def _recorded(super_step: int, raw: Mapping[str, Any]) -> Recorded:
    return Recorded(
        place=Place(super_step, raw["task"], raw["ordinal"]),
        digest=raw["digest"],
        state=EffectState(raw["state"]),
        effect=raw["effect"],
        attempt=raw["attempt"],
        outcome=raw["outcome"],
        approval=raw["approval"] or "",
        approval_digest=raw["approval_digest"] or "",
        approval_policy=raw["approval_policy"] or "",
        approval_by=raw["approval_by"] or "",
        approval_reason=raw["approval_reason"] or "",
        approval_result=raw["approval_result"],
        approval_arguments=raw.get("approval_arguments"),
        corrections=raw.get("corrections") or {},
    )


def checkpoint_of(store: Store, claimed: Claimed) -> Checkpoint:
    """Read a claimed run's state; a list that only grows is read when somebody looks at it."""
    lease = claimed.lease

    def read_log(channel: str) -> Callable[[], list[Json]]:
        return lambda: store.read_log(lease.run_id, lease.tenant_id, channel, lease.super_step)

    return decode(lease.super_step, claimed.head, claimed.values, read_log)

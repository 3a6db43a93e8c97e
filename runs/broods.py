"""Runs that a run spawns together, and how many of them decide the waiting for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from policy.core.money import Limits
from runs.core.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Newborn:
    """One child to start: its id, its own budget's, and its first checkpoint."""

    id: str
    budget_id: str
    first: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Brood:
    """Runs of one agent version to be started together, as children of the run that asks.

    With them it has at most `total` children, of which at most `at_once` have not ended. At
    most `family` descend from the run above it that nobody spawned, as that one's first brood said.
    """

    join_id: str
    agent_version_id: str
    agent: str
    limits: Limits
    deadline: timedelta | None
    children: Sequence[Newborn]
    total: int
    at_once: int
    family: int
    deadline_stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How many successes, or how many failures, decide the waiting for a brood."""

    join_id: str
    want_succeeded: int
    want_failed: int

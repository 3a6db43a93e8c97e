"""What a tool is, whoever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from policy.core.json import JsonObject
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass, Risk


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool's declaration: name, version, schemas, effect class and limits.

    A change of meaning is a new version: decisions are bound to it. `effect` says what may be
    done when nobody knows whether a call happened; `summary` is what a reviewer reads (`"Refund
    ${amount} to customer {customer}"`); `timeout` is in seconds.
    `egress` says that it sends data out; `reversible` whether what it did can be
    undone, None where nobody declared it. `targets` are the arguments that decide where, to whom,
    or what is acted on (None: as their names and schema suggest); `trusted` says that no stranger
    writes what it gives, so that its results count as a trusted source. `server_id` names the
    remote server that runs it, empty for code of ours.
    `reconcile` names what says whether a call happened, empty where nothing does: for code
    the hook, for a server the read tool of it. `compensate` names the tool that undoes it.
    `measures` names the arguments that say how much: `money` it moves, `people` it reaches,
    and how sure the model says it is (`confidence`, from 0 to 1).
    `retry` is how patiently a failed call is made again; without it the node's counts.
    `price` is what a call costs in US dollars: set aside before it is sent, and spent unless it
    failed for certain; what was in doubt stays spent.
    """

    name: str
    version: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    effect: EffectClass = EffectClass.ONCE
    risk: Risk = Risk.MEDIUM
    timeout: float = 30.0
    reversible: bool | None = None
    egress: bool = False
    targets: tuple[str, ...] | None = None
    trusted: bool = False
    summary: str = ""
    server_id: str = ""
    remote_name: str = ""
    reconcile: str = ""
    compensate: str = ""
    measures: Mapping[str, str] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call as it will be made: exact arguments, key and run, all known beforehand."""

    spec: ToolSpec
    arguments: JsonObject
    key: str
    run_id: str
    tenant_id: str
    timeout: float
    meta: JsonObject = field(default_factory=dict)

"""What a tool is, whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.core.decide import EffectClass, Risk
from policy.core.json import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool's declaration: name, version, schemas, effect class and limits.

    A change of meaning is a new version: decisions are bound to it. `timeout` is in
    seconds. `server_id` names the remote server that runs it, empty for code of ours.
    """

    name: str
    version: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    effect: EffectClass = EffectClass.ONCE
    risk: Risk = Risk.MEDIUM
    timeout: float = 30.0
    reversible: bool = False
    summary: str = ""
    server_id: str = ""
    remote_name: str = ""


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

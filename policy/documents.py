"""Policies as people write them: YAML or JSON, read strictly.

rules:
  - name: small refunds
    decision: allow              # or deny, or require_approval
    tools: payments.refund       # a pattern, like payments.*; default *
    agents: refunds              # a pattern; default *
    effects: [idempotent, once]  # default: any
    when: args.amount <= 100     # CEL, see policy.conditions
    priority: 10                 # higher is asked first; default 0, then as written
    reason: refunds up to 100 are routine
    expires_after: 24h           # how long a person has (s, m, h, d)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from policy import conditions
from policy.core.decide import ApprovalTerms, Decision, EffectClass, Rule
from policy.errors import InvalidPolicy

LARGEST: Final = 256 * 1024
MOST_RULES: Final = 500
SHORTEST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(days=365)
DEFAULT_WAIT: Final = ApprovalTerms().expires_after

_DURATION: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Pattern = Annotated[str, StringConstraints(pattern=r"^[\w.\-*?\[\]!]{1,200}$")]
Text = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError("write a duration like 90s, 15m, 24h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


class RuleDocument(BaseModel):
    """One rule as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    decision: Decision
    tools: Pattern = "*"
    agents: Pattern = "*"
    effects: Annotated[tuple[EffectClass, ...], Field(max_length=3)] = ()
    when: str = ""
    priority: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    reason: Text = ""
    expires_after: Annotated[
        timedelta, BeforeValidator(_duration), Field(strict=True, ge=SHORTEST_WAIT, le=LONGEST_WAIT)
    ] = DEFAULT_WAIT

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str) -> str:
        if value:
            try:
                conditions.compiled(value)
            except InvalidPolicy as error:
                raise ValueError(error.detail) from error
        return value


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Annotated[tuple[RuleDocument, ...], Field(max_length=MOST_RULES)]


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """Rules that can be stored and used, in the order they were written."""

    rules: tuple[RuleDocument, ...]

    def compiled(self) -> list[Rule]:
        """Give the rules as they are judged by."""
        return [_rule(position, rule) for position, rule in enumerate(self.rules)]


def read(source: str | bytes | Mapping[str, Any]) -> PolicyDocument:
    """Read a policy document.

    Raises:
        InvalidPolicy: it cannot be used; its pointer names the first part that is wrong.
    """
    raw = dict(source) if isinstance(source, Mapping) else _parsed(source)
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidPolicy(_said(first["msg"]), _pointer(first["loc"])) from error
    seen: set[str] = set()
    for position, rule in enumerate(document.rules):
        if rule.name in seen:
            raise InvalidPolicy(f"two rules are named {rule.name!r}", f"/rules/{position}/name")
        seen.add(rule.name)
    return PolicyDocument(document.rules)


def _parsed(source: str | bytes) -> Any:
    if len(source) > LARGEST:
        raise InvalidPolicy(f"a policy document is {LARGEST} bytes long at most")
    try:
        text = source if isinstance(source, str) else source.decode()
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_once_each)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidPolicy(f"neither YAML nor JSON: {_said(str(error))}") from error
    except RecursionError:
        raise InvalidPolicy("nested too deeply") from None


def _once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice")
        found[key] = value
    return found


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases, which can grow without bound, and with each key once."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed in a policy")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key!r} is given twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def _rule(position: int, rule: RuleDocument) -> Rule:
    return Rule(
        name=rule.name,
        decision=rule.decision,
        tools=rule.tools,
        agents=rule.agents,
        effects=frozenset(rule.effects),
        condition=conditions.compiled(rule.when) if rule.when else None,
        priority=rule.priority,
        position=position,
        reason=rule.reason,
        terms=ApprovalTerms(expires_after=rule.expires_after),
    )


def _pointer(place: Iterable[int | str]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("\n", " ")[:300]

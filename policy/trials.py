"""Tests of a policy, written as YAML: calls, and what is to be decided about them.

policy: customer_service.yaml        # beside this file
tests:
  - name: a small refund is given
    call: {tool: payments.refund, arguments: {amount: 49, currency: EUR}}
    expect: allow
    rule: small refunds              # optional: the rule that must decide
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from policy import documents
from policy.core.call import Autonomy, CallRequest, EffectClass, Principal, Risk
from policy.core.rules.decide import Decision, Policy
from policy.core.rules.explain import Explanation, explain
from policy.errors import InvalidPolicy


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CallDocument(_Strict):
    """A call as tests write it; what is left out is what an undeclared tool counts as."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    effect: EffectClass = EffectClass.ONCE
    risk: Risk = Risk.MEDIUM
    egress: bool = False
    reversible: bool | None = None
    granted: bool = True
    agent: str = "agent"
    agent_version: str = "1"
    autonomy: Autonomy = Autonomy.ACT
    principal: str = ""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tenant: str = ""
    environment: str = ""
    at: AwareDatetime | None = None
    cost: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    calls: int = 0

    def request(self) -> CallRequest:
        """Give the call."""
        who = {"principal", "roles", "scopes"}
        principal = Principal(
            id=self.principal, name=self.principal, roles=self.roles, scopes=self.scopes
        )
        known = {name: getattr(self, name) for name in CallDocument.model_fields if name not in who}
        return CallRequest(version="1", principal=principal, **known)


class TrialDocument(_Strict):
    """One test: a call, and what is to be decided about it."""

    name: str
    call: CallDocument
    expect: Decision
    rule: str | None = None


class _Trials(_Strict):
    policy: str
    tests: Annotated[tuple[TrialDocument, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one test."""

    name: str
    expected: str
    explanation: Explanation
    passed: bool


def tried(file: Path) -> list[Tried]:
    """Judge every call of a file by the policy it names.

    Raises:
        InvalidPolicy: the file or its policy cannot be used.
    """
    try:
        written = _Trials.model_validate(yaml.safe_load(file.read_text("utf-8")))
        source = (file.parent / written.policy).read_text("utf-8")
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidPolicy(f"{file.name}: {why}") from error
    policy = documents.read(source).policy(written.policy)
    return [_tried(policy, trial) for trial in written.tests]


def _tried(policy: Policy, trial: TrialDocument) -> Tried:
    explanation = explain(policy, trial.call.request())
    verdict = explanation.verdict
    is_right = verdict.decision is trial.expect and trial.rule in {None, verdict.rule}
    expected = trial.expect.value + (f" by {trial.rule!r}" if trial.rule else "")
    return Tried(name=trial.name, expected=expected, explanation=explanation, passed=is_right)

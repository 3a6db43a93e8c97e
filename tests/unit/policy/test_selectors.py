"""What rules ask of a call: each selector, where it holds, where not, and where nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from policy import documents
from policy.core.rules.decide import (
    Autonomy,
    CallRequest,
    Decision,
    EffectClass,
    Policy,
    Principal,
    Risk,
    decide,
)

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CALL = CallRequest(
    tool="mail.send",
    version="1",
    arguments={"amount": 42, "to": ["a@example.com"], "customer": {"tier": "gold"}, "text": "hi"},
    effect=EffectClass.ONCE,
    agent="desk",
    agent_version="3.1",
    principal=Principal(id="p1", name="Ann", roles=("operator",), scopes=("crm:read", "mail")),
    risk=Risk.HIGH,
    egress=True,
    reversible=None,
    autonomy=Autonomy.ACT,
    tenant="acme",
    environment="production",
    at=MONDAY_NOON,
    cost=Decimal("0.5"),
    spent=Decimal("4.25"),
    calls=7,
)


def asked(decision: str, call: CallRequest = CALL, **selectors: Any) -> Decision:
    """Judge by one rule; `deny` also tells what cannot be told, `allow` does not."""
    rules = [{"name": "r", "decision": decision, **selectors}]
    if decision == "deny":
        rules.append({"name": "else", "decision": "allow"})
    return decide(Policy.of("v", documents.read({"rules": rules}).compiled()), call).decision


def holds(call: CallRequest = CALL, **selectors: Any) -> bool | None:
    """Say whether a rule matches; None where that cannot be told."""
    allows = asked("allow", call, **selectors) is Decision.ALLOW
    denies = asked("deny", call, **selectors) is Decision.DENY
    return None if denies and not allows else allows


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ({"tools": "mail.*"}, True),
        ({"tools": ["crm.*", "mail.send"]}, True),
        ({"agents": "refunds desk"}, True),
        ({"agents": "d"}, False),
        ({"effects": ["read"]}, False),
        ({"risks": ["high", "critical"]}, True),
        ({"risks": ["low"]}, False),
        ({"egress": True}, True),
        ({"egress": False}, False),
        ({"reversible": True}, None),
        ({"principals": ["Ann"]}, True),
        ({"principals": ["p1"]}, True),
        ({"principals": ["B*"]}, False),
        ({"roles": ["admin", "operator"]}, True),
        ({"roles": ["admin"]}, False),
        ({"scopes": ["mail", "crm:read"]}, True),
        ({"scopes": ["mail", "crm:write"]}, False),
        ({"agent_versions": ["3.*"]}, True),
        ({"agent_versions": ["2"]}, False),
        ({"autonomy": ["act"]}, True),
        ({"autonomy": ["suggest"]}, False),
        ({"tenants": ["acme", "globex"]}, True),
        ({"tenants": ["globex"]}, False),
        ({"environments": ["prod*"]}, True),
        ({"environments": ["staging"]}, False),
        ({"cost": {"at_most": "0.5"}}, True),
        ({"cost": {"below": 0.5}}, False),
        ({"spent": {"above": 4, "at_most": 4.25}}, True),
        ({"calls": {"at_least": 8}}, False),
        ({"times": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}, True),
        ({"times": [{"days": ["tue"]}]}, False),
        ({"times": [{"from": "13:00", "to": "14:00", "zone": "Europe/Berlin"}]}, True),
        ({"times": [{"until": "2026-11-23T12:00:00Z"}]}, False),
        ({"times": [{"days": ["sun"], "from": "22:00", "to": "13:00"}]}, True),
        ({"times": [{"days": ["mon"], "from": "22:00", "to": "13:00"}]}, False),
    ],
)
def test_a_selector_asks_one_thing_of_the_call(selectors: Any, expected: bool | None) -> None:  # noqa: FBT001
    assert holds(**selectors) is expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"amount": 42}, True),
        ({"amount": "42"}, False),
        ({"amount": 42.0}, True),
        ({"amount": True}, False),
        ({"amount": {"at_least": 42, "at_most": 42}}, True),
        ({"amount": {"above": 42}}, False),
        ({"text": {"at_most": 5}}, None),
        ({"text": {"like": "h*"}}, True),
        ({"text": {"longest": 1}}, False),
        ({"amount": {"like": "4*"}}, None),
        ({"amount": {"longest": 1}}, None),
        ({"to": {"each": {"like": "*@example.com"}}}, True),
        ({"to": {"each": {"like": "*@elsewhere.com"}}}, False),
        ({"amount": {"each": {"equals": 1}}}, None),
        ({"to": {"longest": 1}}, True),
        ({"/customer/tier": {"one_of": ["gold", "silver"]}}, True),
        ({"/to/0": "a@example.com"}, True),
        ({"/to/1": "a@example.com"}, None),
        ({"absent": {"present": False}}, True),
        ({"absent": {"present": True}}, False),
        ({"absent": {"present": True, "equals": 1}}, False),
        ({"absent": 1}, None),
        ({"amount": {"present": True, "at_most": 100}}, True),
    ],
)
def test_an_argument_is_asked_for_what_it_must_be(test: Any, expected: bool | None) -> None:  # noqa: FBT001
    assert holds(arguments=test) is expected


def test_a_moment_that_is_not_known_is_in_no_window_for_sure() -> None:
    assert holds(replace(CALL, at=None), times=[{"days": ["mon"]}]) is None

"""Calls of all kinds, for the properties that every call must have."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from policy import documents
from policy.core.rules.decide import Autonomy, CallRequest, EffectClass, Principal, Risk

names = st.sampled_from(["payments.refund", "crm.read", "mail.send", "x"])
words = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
amounts = st.decimals(0, 1000, places=4)
principals = st.builds(
    Principal,
    id=words,
    name=words,
    roles=st.lists(st.sampled_from(["operator", "admin"]), max_size=2).map(tuple),
    scopes=st.lists(st.sampled_from(["crm:read", "crm:write"]), max_size=2).map(tuple),
)
requests = st.builds(
    CallRequest,
    tool=names,
    version=words,
    arguments=st.dictionaries(st.sampled_from(["amount", "to", "note"]), json_values, max_size=3),
    effect=st.sampled_from(EffectClass),
    agent=st.sampled_from(["refunds", "desk"]),
    agent_version=st.sampled_from(["", "1", "2"]),
    principal=principals,
    risk=st.sampled_from(Risk),
    granted=st.booleans(),
    egress=st.booleans(),
    reversible=st.sampled_from([None, True, False]),
    autonomy=st.sampled_from(Autonomy),
    tenant=st.sampled_from(["acme", "globex"]),
    environment=st.sampled_from(["", "production", "staging"]),
    at=st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    cost=amounts.map(Decimal),
    spent=amounts.map(Decimal),
    calls=st.integers(0, 500),
)


# --- Documents --------------------------------------------------------------------------------

CONDITIONS = [
    "",
    "args.amount <= 100",
    'args.to.endsWith("@example.com")',
    "args.to.all(to, to == 'a')",
    "has(args.note) && args.note.size() < 5",
    "args.amount > 1 || calls > 10",
    "spent + cost < 5.0",
    'principal.roles.exists(role, role == "operator")',
    "at.getHours() < 12",
    "args.missing.deep == 1",
]
numbers = st.integers(-1000, 1000) | st.decimals(-1000, 1000, places=3, allow_nan=False)
ranges = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("at_least", "at_most", "above", "below"), numbers)
).filter(bool)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.none()
plain_texts = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8
)
argument_tests = st.fixed_dictionaries(
    {},
    optional={
        "equals": scalars,
        "one_of": st.lists(scalars, min_size=1, max_size=3),
        "like": st.lists(plain_texts, min_size=1, max_size=2),
        "at_most": numbers,
        "longest": st.integers(0, 50),
        "each": st.fixed_dictionaries({"equals": scalars}),
    },
).filter(bool) | st.fixed_dictionaries({"present": st.booleans()})
windows = st.fixed_dictionaries(
    {"zone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])},
    optional={
        "days": st.lists(st.sampled_from(["mon", "wed", "sun"]), unique=True, max_size=3),
        "from": st.sampled_from(["00:00", "09:30", "22:00"]),
        "to": st.sampled_from(["06:00", "17:00", "23:59"]),
        "since": st.just("2024-01-01T00:00:00+00:00"),
    },
)
rule_bodies = st.fixed_dictionaries(
    {"decision": st.sampled_from(["allow", "deny", "require_approval"])},
    optional={
        "tools": st.sampled_from(["*", "payments.*", "crm.* mail.send"]),
        "agents": st.sampled_from(["*", "refunds", "desk other"]),
        "effects": st.lists(st.sampled_from(["read", "once"]), unique=True, max_size=2),
        "risks": st.lists(st.sampled_from(["low", "high"]), unique=True, max_size=2),
        "egress": st.booleans(),
        "reversible": st.booleans(),
        "arguments": st.dictionaries(
            st.sampled_from(["amount", "to", "/note/0", "/a~1b"]), argument_tests, max_size=2
        ),
        "principals": st.lists(plain_texts, max_size=2),
        "roles": st.lists(st.sampled_from(["operator", "admin"]), max_size=2),
        "scopes": st.lists(st.sampled_from(["crm:read", "crm:write"]), max_size=2),
        "agent_versions": st.lists(st.sampled_from(["1", "2*"]), max_size=2),
        "autonomy": st.lists(st.sampled_from(["act", "suggest"]), max_size=2),
        "tenants": st.lists(st.sampled_from(["acme", "g*"]), max_size=2),
        "environments": st.lists(st.sampled_from(["production", "staging"]), max_size=2),
        "times": st.lists(windows, max_size=2),
        "cost": ranges,
        "spent": ranges,
        "calls": ranges,
        "when": st.sampled_from(CONDITIONS),
        "priority": st.integers(-3, 3),
        "reason": plain_texts,
        "expires_after": st.sampled_from(["90s", "15m", "24h", "7d"]),
    },
)
raw_documents = st.lists(rule_bodies, max_size=5).map(
    lambda bodies: {"rules": [{"name": f"rule {i}", **body} for i, body in enumerate(bodies)]}
)
documents_of_rules = raw_documents.map(documents.read)

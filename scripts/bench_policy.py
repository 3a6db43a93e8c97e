# noqa: INP001 - a script, run as it stands
"""How many calls a second one core judges, beside the same rules in a plain loop over CEL.

    python scripts/bench_policy.py [--seconds 3]

CPU time, one thread: the customer-service policy and 40 rules of other tools around it, over
six kinds of calls. The plain loop compiles each rule to one CEL program and asks it with the
facts of the call, as a small engine of one's own would.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cel  # noqa: E402

from policy import documents  # noqa: E402
from policy.core.rules.decide import CallRequest, EffectClass, Policy, Principal, decide  # noqa: E402

CALLS: Final[list[tuple[str, EffectClass, dict[str, Any]]]] = [
    ("orders.find", EffectClass.READ, {"number": 7}),
    ("payments.refund", EffectClass.ONCE, {"amount": 42, "currency": "EUR"}),
    ("payments.refund", EffectClass.ONCE, {"amount": 420, "currency": "EUR"}),
    ("payments.payout", EffectClass.ONCE, {"amount": 1}),
    ("desk13.write", EffectClass.ONCE, {"amount": 5, "to": ["a@example.com", "b@example.com"]}),
    ("shell.run", EffectClass.ONCE, {"command": "ls"}),
]
SMALL: Final = (
    "tool == 'payments.refund' && args.amount > 0 && args.amount <= 50"
    " && args.currency == 'EUR' && spent <= 2.0"
)
PLAIN: Final = [
    ('tool in ["payments.payout", "customers.delete"]', "deny"),
    ("effect != 'read' && calls >= 25", "require_approval"),
    ("tool.matches('^(crm|orders|knowledge)[.]') && effect == 'read' && !egress", "allow"),
    ("tool == 'crm.note' && effect == 'idempotent'", "allow"),
    (SMALL, "allow"),
    ("tool == 'payments.refund' && args.amount > 0 && args.amount <= 1000", "require_approval"),
    ("tool == 'mail.reply' && size(args.to) <= 1", "allow"),
    ("tool.startsWith('mail.')", "require_approval"),
]
CONDITION: Final = "args.amount <= 10 && args.to.all(to, to.endsWith('@example.com'))"


def requests() -> list[CallRequest]:
    """Give the calls."""
    return [
        CallRequest(
            tool=tool,
            version="1",
            arguments=arguments,
            effect=effect,
            agent="desk",
            principal=Principal(id="p1", name="Ann", roles=("operator",)),
            at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        )
        for tool, effect, arguments in CALLS
    ]


def ours() -> Callable[[CallRequest], Any]:
    """Give the engine with the shipped policy and 40 more rules."""
    rules = list(
        documents.read((ROOT / "examples/policies/customer_service.yaml").read_text()).rules
    )
    more = [
        {"name": f"desk {n}", "decision": "allow", "tools": f"desk{n}.*", "when": CONDITION}
        for n in range(40)
    ]
    document = documents.PolicyDocument((*rules, *documents.read({"rules": more}).rules))
    policy = Policy.of("bench", document.compiled())
    return lambda call: decide(policy, call)


def plain() -> Callable[[CallRequest], Any]:
    """Give a loop over compiled CEL, with the same rules as expressions."""
    desks = [(f"tool.startsWith('desk{n}.') && {CONDITION}", "allow") for n in range(40)]
    programs = [(cel.compile(text), decision) for text, decision in [*PLAIN, *desks]]

    def holds(program: cel.Program, context: cel.Context) -> bool:
        try:
            return program.execute(context) is True
        except (RuntimeError, TypeError, ValueError):  # a field that this call lacks
            return False

    def judge(call: CallRequest) -> str:
        facts = {
            "tool": call.tool,
            "args": dict(call.arguments),
            "effect": call.effect.value,
            "egress": call.egress,
            "calls": call.calls,
            "spent": float(call.spent),
        }
        context = cel.Context(variables=facts)
        for program, decision in programs:
            if holds(program, context):
                return decision
        return "deny"

    return judge


def rate(judge: Callable[[CallRequest], Any], seconds: float) -> float:
    """Give decisions per second of CPU time."""
    calls = requests()
    for call in calls:
        judge(call)
    done, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(50):
            for call in calls:
                judge(call)
        done += 50 * len(calls)
    return done / (time.process_time() - began)


def main() -> None:
    """Measure both in turns, three rounds, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    seconds = parser.parse_args().seconds
    mine, other = ours(), plain()
    rounds = [(rate(mine, seconds), rate(other, seconds)) for _ in range(3)]
    names = ("policy.core.rules.decide", "plain CEL loop")
    medians = []
    for name, found in zip(names, zip(*rounds, strict=True), strict=True):
        low, middle, high = sorted(found)
        medians.append(middle)
        print(f"{name:<20} {middle:>10,.0f} decisions/s of CPU ({low:,.0f} to {high:,.0f})")  # noqa: T201
    figures = {
        "decisions_per_cpu_second": round(medians[0]),
        "plain_loop_per_cpu_second": round(medians[1]),
        "ratio": round(medians[0] / medians[1], 2),
    }
    print(json.dumps(figures))  # noqa: T201


if __name__ == "__main__":
    main()

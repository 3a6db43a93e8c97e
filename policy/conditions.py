"""Conditions of rules: CEL expressions over the facts of a call, compiled once.

    args.amount <= 100 && principal.roles.exists(role, role == "operator")

Names: `tool`, `args`, `effect`, `risk`, `agent`, `principal.id`, `principal.roles`.

Numbers compare by value, whole or not: `args.amount <= 100` holds for 42 and for 42.5, and
so does `args.amount <= 100.0`. Everything else is strict. An absent argument, or a text
where a number is compared, is an error, which `policy.core.decide` judges as the stricter
of true and false. One exception is CEL's own: `==` between different types is false and
`!=` true, without an error. So write what is allowed (`args.currency == "EUR"`), not what
is not (`args.currency != "USD"` holds for the number 7), and ask `has(args.note)` of an
argument that may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from policy.core.decide import Condition
from policy.errors import InvalidPolicy, PolicyError

if TYPE_CHECKING:
    from cel import Program

LONGEST: Final = 1000
MOST_LOOPS: Final = 2
NAMES: Final = frozenset({"tool", "args", "effect", "risk", "agent", "principal"})

_LOOP: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")


class ConditionFailed(PolicyError):  # noqa: N818
    """A condition could not be evaluated on the facts of a call."""


def compiled(expression: str) -> Condition:
    """Compile a condition.

    Raises:
        InvalidPolicy: it is too long, not CEL, or uses a name that no call has.
    """
    if len(expression) > LONGEST:
        raise InvalidPolicy(f"a condition is {LONGEST} characters long at most")
    loops = _LOOP.findall(expression)
    if len(loops) > MOST_LOOPS:
        raise InvalidPolicy(f"a condition loops {MOST_LOOPS} times at most (all, exists, map...)")
    program = _program(expression)
    if unknown := set(program.variables()) - NAMES - set(loops):
        known = ", ".join(sorted(NAMES))
        raise InvalidPolicy(f"unknown name {min(unknown)!r}; a condition may use {known}")

    def condition(facts: Mapping[str, Any]) -> bool:
        return _evaluated(program, facts)

    return condition


def _program(expression: str) -> Program:
    import cel  # noqa: PLC0415 - only those who judge pay for it

    try:
        return cel.compile(expression)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise InvalidPolicy(f"not a CEL expression: {_first_line(error)}") from error


def _evaluated(program: Program, facts: Mapping[str, Any]) -> bool:
    try:
        held = program.execute(dict(facts))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise ConditionFailed(_first_line(error)) from error
    if not isinstance(held, bool):
        raise ConditionFailed(f"it gave {type(held).__name__}, neither true nor false")
    return held


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

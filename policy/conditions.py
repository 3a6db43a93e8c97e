"""Conditions of rules: CEL expressions over the facts of a call, compiled once.

    args.amount <= 100 && principal.roles.exists(role, role == "operator")

Names: `tool`, `args`, `effect`, `risk`, `egress`, `reversible`, `agent`, `agent_version`,
`autonomy`, `tenant`, `environment`, `at` (a timestamp in UTC), `cost`, `spent`, `calls`,
`principal.id`, `.name`, `.roles`, `.scopes`; and of where the arguments came from (see
docs/provenance.md) `origins`, `tainted`, `targets_trusted`, `arguments_trusted`,
`arguments_clean`, `asked_for`, `repeated`, `given`, `untrusted`.

Numbers compare by value, whole or not: `args.amount <= 100` holds for 42 and for 42.5, and
so does `args.amount <= 100.0`. Everything else is strict. An absent argument, or a text
where a number is compared, is an error, which `policy.core.rules.decide` judges as the stricter
of true and false. One exception is CEL's own: `==` between different types is false and
`!=` true, without an error. So write what is allowed (`args.currency == "EUR"`), not what
is not (`args.currency != "USD"` holds for the number 7), and ask `has(args.note)` of an
argument that may be absent.

What an evaluation may cost is bounded beforehand, by the size of the call and the shape of
the expression, never by a clock: the same call is judged alike on every machine. A call
beyond the bounds is an error like the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from policy.core.call import Facts
from policy.core.rules.decide import Clause, Condition
from policy.core.rules.selectors import ABSENT
from policy.errors import InvalidPolicy, PolicyError
from policy.expressions import LONGEST, Shape, parts_of, paths_of, shape_of

if TYPE_CHECKING:
    from cel import Context, Program

__all__ = ["LONGEST", "NAMES", "ConditionFailed", "clauses", "compiled", "unusable", "usable"]

NAMES: Final = frozenset(
    {
        "tool",
        "args",
        "effect",
        "risk",
        "egress",
        "reversible",
        "agent",
        "agent_version",
        "autonomy",
        "tenant",
        "environment",
        "at",
        "cost",
        "spent",
        "calls",
        "principal",
        "origins",
        "tainted",
        "targets_trusted",
        "arguments_trusted",
        "arguments_clean",
        "asked_for",
        "repeated",
        "given",
        "untrusted",
    }
)
_OPERATORS: Final = (
    "!_ -_ @in @not_strictly_false _&&_ _||_ _?_:_ _[_] _+_ _-_ _*_ _/_ _%_ "
    "_<_ _<=_ _>_ _>=_ _==_ _!=_"
)
_CALLS: Final = (
    "contains startsWith endsWith matches size timestamp duration int double string "
    "getHours getMinutes getSeconds getDayOfWeek getDayOfMonth getDate getMonth "
    "getFullYear getDayOfYear"
)
FUNCTIONS: Final = frozenset(f"{_OPERATORS} {_CALLS}".split())

DEEPEST: Final = 32
MOST_VALUES: Final = 10_000
MOST_CHARACTERS: Final = 100_000
LARGEST_WHOLE: Final = 2**63 - 1
DEAREST: Final = 1_000_000
DEAREST_TOGETHER: Final = 2_000_000
"""Units of cost of one evaluation, and of all in one decision; see `_price`."""


class ConditionFailed(PolicyError):  # noqa: N818
    """A condition could not be evaluated on the facts of a call."""


def compiled(expression: str) -> Condition:
    """Compile a condition.

    Raises:
        InvalidPolicy: it is too long or nested, not CEL, or uses a name that no call has, or
            a function that rules may not call.
    """
    shape = shape_of(expression)
    program = _program(expression)
    if unknown := set(program.variables()) - NAMES - shape.bound:
        known = ", ".join(sorted(NAMES))
        raise InvalidPolicy(f"unknown name {min(unknown)!r}; a condition may use {known}")
    if foreign := set(program.functions()) - FUNCTIONS:
        raise InvalidPolicy(f"a condition may not call {min(foreign)}")
    names = tuple(sorted(NAMES.intersection(program.variables())))

    def condition(facts: Mapping[str, Any]) -> bool:
        return _evaluated(program, names, shape, facts)

    return condition


def usable(expression: str) -> Condition:
    """Compile a stored condition. One that no longer compiles can never be told to hold."""
    try:
        return compiled(expression)
    except InvalidPolicy as error:
        return unusable(error.detail)


def unusable(why: str) -> Condition:
    """Give a condition that can never be evaluated, for this reason."""

    def condition(_facts: Mapping[str, Any]) -> bool:
        raise ConditionFailed(why)

    return condition


def clauses(expression: str) -> tuple[Clause, ...]:
    """Take a condition apart, for explanations: its outermost parts, each true by itself."""
    return tuple(
        Clause(text=part, holds=usable(part), values=partial(values_of, paths_of(part)))
        for part in parts_of(expression)
    )


def values_of(paths: Sequence[tuple[str, ...]], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the values that an expression names; what is not there is left out."""
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = facts
        for part in path:
            value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
        if value is not ABSENT and path[0] in NAMES:
            found[".".join(path)] = value
    return found


def _program(expression: str) -> Program:
    import cel  # noqa: PLC0415 - only those who judge pay for it

    program: Program = _guarded(
        lambda: cel.compile(expression),
        lambda why: InvalidPolicy(f"not a CEL expression: {why}"),
    )
    return program


def _guarded(work: Callable[[], Any], wrong: Callable[[str], PolicyError]) -> Any:
    """Turn whatever the library raises, its panics too, which are no Exceptions, into ours."""
    try:
        return work()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise wrong(_first_line(error)) from error


def _evaluated(
    program: Program, names: tuple[str, ...], shape: Shape, facts: Mapping[str, Any]
) -> bool:
    context = _kept(facts).context(names, shape)
    held = _guarded(lambda: program.execute(context), ConditionFailed)
    if not isinstance(held, bool):
        raise ConditionFailed(f"it gave {type(held).__name__}, neither true nor false")
    return held


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


# --- What one decision costs ------------------------------------------------------------------


class _Made(NamedTuple):
    """Facts in the library's own form: the longest list in them, and how much text."""

    context: Context
    widest: int
    characters: int


class _Kept:
    """What conditions made of a call's facts, and what they may still cost."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.left = DEAREST_TOGETHER
        self.made: dict[tuple[tuple[str, ...], frozenset[str] | None], _Made] = {}

    def context(self, names: tuple[str, ...], shape: Shape) -> Context:
        """Give the facts that an expression reads, made once, and take off what it may cost.

        Raises:
            ConditionFailed: they are beyond the bounds, or cannot be made.
        """
        key = (names, shape.arguments)
        made = self.made.get(key)
        if made is None:
            made = self.made[key] = self._make(names, shape.arguments)
        price = _price(shape, made.widest, made.characters)
        if price > DEAREST or price > self.left:
            raise ConditionFailed("the arguments are too large for this condition")
        self.left -= price
        return made.context

    def _make(self, names: tuple[str, ...], arguments: frozenset[str] | None) -> _Made:
        import cel  # noqa: PLC0415 - only those who judge pay for it

        known = {name: self.facts[name] for name in names if name in self.facts}
        if arguments is not None and "args" in known:
            given = known["args"]
            known["args"] = {name: given[name] for name in arguments if name in given}
        widest, characters = _size(known)
        context = _guarded(lambda: cel.Context(variables=known), ConditionFailed)
        return _Made(context, widest, characters)


def _kept(facts: Mapping[str, Any]) -> _Kept:
    if not isinstance(facts, Facts):
        return _Kept(facts)
    if facts.kept is None:
        facts.kept = _Kept(facts)
    kept: _Kept = facts.kept
    return kept


def _price(shape: Shape, widest: int, characters: int) -> int:
    """Bound the work of an evaluation: every loop in every other, every text at every touch."""
    turns = (max(widest, shape.commas + 1) * (1 + shape.joins)) ** shape.loops
    price: int = turns * (32 + shape.touches * (characters if shape.loops else characters // 8))
    return price


def _size(facts: Any) -> tuple[int, int]:
    """Measure the longest list or object, and all text.

    Raises:
        ConditionFailed: it is too deep or too large, or holds what CEL cannot compare.
    """
    widest, characters, values = 1, 0, 0
    level: list[Any] = [facts]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                characters += len(value)
            elif isinstance(value, Mapping):
                widest = max(widest, len(value))
                characters += sum(len(str(key)) for key in value)
                below.extend(value.values())
            elif isinstance(value, list | tuple):
                widest = max(widest, len(value))
                below.extend(value)
            else:
                _comparable(value)
        values += len(below)
        if values > MOST_VALUES or characters > MOST_CHARACTERS:
            raise ConditionFailed("the arguments are too large for conditions")
        if not below:
            return widest, characters
        level = below
    raise ConditionFailed("the arguments are nested too deeply for conditions")


def _comparable(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConditionFailed("an argument is no finite number")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise ConditionFailed("an argument is a whole number beyond 64 bits")

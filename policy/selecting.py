"""What a rule may ask for, as people write it, and the selectors that it becomes.

spent: {at_most: 5}
arguments: {amount: {at_most: 100}, to: {each: {like: "*@example.com"}}, /customer/tier: gold}
times: [{days: [mon, tue], from: "09:00", to: "17:00", zone: Europe/Berlin}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    model_validator,
)

from policy.core.call import Autonomy, CallRequest, EffectClass, Risk
from policy.core.json import Json
from policy.core.provenance import Provenance
from policy.core.rules import selectors
from policy.core.rules.selectors import ArgumentTest, Range, Selector, Window

MOST: Final = 100
LONGEST_POINTER: Final = 200
Scalar = (
    Annotated[str, StringConstraints(strict=True, max_length=500)]
    | StrictBool
    | StrictInt
    | StrictFloat
    | None
)
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Words = Annotated[tuple[Word, ...], BeforeValidator(_listed), Field(max_length=MOST)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Bound = Annotated[Decimal, Field(max_digits=20, decimal_places=9)]


class RangeDocument(_Strict):
    """Bounds of a number."""

    at_least: Bound | None = None
    at_most: Bound | None = None
    above: Bound | None = None
    below: Bound | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> RangeDocument:
        if self.model_dump(exclude_none=True) == {}:
            raise ValueError("give at_least, at_most, above or below")
        return self

    def range(self) -> Range:
        """Give the bounds."""
        return Range(
            at_least=self.at_least, at_most=self.at_most, above=self.above, below=self.below
        )


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one like Europe/Berlin") from None
    return name


Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class WindowDocument(_Strict):
    """A recurring time of the week; `since` and `until` bound the days in which it counts."""

    days: Annotated[tuple[Day, ...], BeforeValidator(_listed), Field(max_length=7)] = ()
    begins: Annotated[Clock | None, Field(alias="from")] = None
    ends: Annotated[Clock | None, Field(alias="to")] = None
    zone: Annotated[str, StringConstraints(max_length=60), AfterValidator(_zone)] = "UTC"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def window(self) -> Window:
        """Give the window."""
        return Window(
            days=frozenset(self.days),
            begins=_clock(self.begins),
            ends=_clock(self.ends),
            zone=UTC if self.zone == "UTC" else ZoneInfo(self.zone),
            since=self.since,
            until=self.until,
            words=self._words(),
        )

    def _words(self) -> str:
        parts = [
            ", ".join(self.days),
            f"{self.begins or '00:00'} to {self.ends or '24:00'} {self.zone}",
            f"since {_said(self.since)}" if self.since else "",
            f"until {_said(self.until)}" if self.until else "",
        ]
        return " ".join(part for part in parts if part)


def _clock(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)


def _said(moment: datetime) -> str:
    return moment.isoformat()


class ArgumentDocument(_Strict):
    """What one argument must be: everything that is given must hold."""

    equals: Scalar = None
    one_of: Annotated[tuple[Scalar, ...] | None, Field(min_length=1, max_length=MOST)] = None
    like: Annotated[Words | None, Field(min_length=1)] = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    above: Bound | None = None
    below: Bound | None = None
    longest: Annotated[int, Field(ge=0)] | None = None
    present: bool | None = None
    each: ArgumentDocument | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> ArgumentDocument:
        if not self.model_fields_set:
            raise ValueError("say what it must be, like {at_most: 100}")
        if self.present is False and self.model_fields_set != {"present"}:
            raise ValueError("an argument that must be absent can be nothing else")
        return self

    def words(self) -> str:
        """Say what is asked for."""
        given: dict[str, Any] = self.model_dump(exclude_unset=True, mode="json")
        each = self.each.words() if self.each is not None else ""
        said: dict[str, Callable[[Any], str]] = {
            "equals": lambda v: f"is {v}",
            "one_of": lambda v: "is one of " + ", ".join(map(str, v)),
            "like": lambda v: "is like " + " or ".join(v),
            "longest": lambda v: f"has at most {v} characters or items",
            "present": lambda v: "is there" if v else "is not there",
            "each": lambda _: f"each {each}",
        }
        default = {name: f"is {name.replace('_', ' ')} " for name in _BOUNDS}
        return " and ".join(
            said[name](value) if name in said else f"{default[name]}{value}"
            for name, value in given.items()
        )

    def test(self) -> ArgumentTest:
        """Give the test of a value that is there."""
        tests = list(self._tests())

        def holds(value: Json) -> bool:
            return all(test(value) for test in tests)

        return holds

    def _tests(self) -> Sequence[ArgumentTest]:
        tests: list[ArgumentTest] = []
        if "equals" in self.model_fields_set:
            tests.append(lambda value: selectors.same(value, self.equals))
        if self.one_of is not None:
            among = self.one_of
            tests.append(lambda value: any(selectors.same(value, one) for one in among))
        if self.like is not None:
            matches = selectors.matcher(self.like)
            tests.append(lambda value: matches(selectors.text_of(value)))
        if any(getattr(self, name) is not None for name in _BOUNDS):
            bounds = Range(**{name: getattr(self, name) for name in _BOUNDS})
            tests.append(bounds.holds)
        if self.longest is not None:
            longest = self.longest
            tests.append(lambda value: _length(value) <= longest)
        if self.each is not None:
            test = self.each.test()
            tests.append(lambda value: all(test(item) for item in selectors.items_of(value)))
        return tests


_BOUNDS: Final = ("at_least", "at_most", "above", "below")


def _length(value: Json) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise selectors.Undecided(f"{type(value).__name__} has no length")
    return len(value)


def _equals(value: object) -> object:
    """Read `tier: gold` as `tier: {equals: gold}`."""
    return value if isinstance(value, dict | ArgumentDocument) else {"equals": value}


def _pointer(name: str) -> str:
    if not name or len(name) > LONGEST_POINTER or any(sign < " " for sign in name):
        raise ValueError("name an argument, or write a JSON pointer like /customer/id")
    return name


Arguments = Annotated[
    dict[
        Annotated[str, AfterValidator(_pointer)],
        Annotated[ArgumentDocument, BeforeValidator(_equals)],
    ],
    Field(max_length=MOST),
]


def argument(pointer: str, asked: ArgumentDocument) -> Selector:
    """Give the selector of one argument."""
    return selectors.argument(pointer, asked.words(), asked.test(), present=asked.present)


# --- All that a rule may ask ------------------------------------------------------------------


class Selecting(_Strict):
    """What a rule asks of a call beside its patterns and its condition."""

    effects: Annotated[tuple[EffectClass, ...], Field(max_length=3)] = ()
    risks: Annotated[tuple[Risk, ...], Field(max_length=4)] = ()
    egress: StrictBool | None = None
    reversible: StrictBool | None = None
    arguments: Arguments = Field(default_factory=dict)
    principals: Words = ()
    roles: Words = ()
    scopes: Words = ()
    agent_versions: Words = ()
    autonomy: Annotated[tuple[Autonomy, ...], Field(max_length=5)] = ()
    tenants: Words = ()
    environments: Words = ()
    times: Annotated[tuple[WindowDocument, ...], Field(max_length=20)] = ()
    cost: RangeDocument | None = None
    spent: RangeDocument | None = None
    calls: RangeDocument | None = None
    tainted: StrictBool | None = None
    trusted: Words = ()
    untrusted: Words = ()

    def selectors(self) -> tuple[Selector, ...]:
        """Give what it asks of a call, what costs least first; `effects` are matched apart."""
        return (
            *self._of_call(),
            *self._of_people(),
            *self._of_numbers(),
            *self._of_arguments(),
            *self._of_origins(),
        )

    def _of_call(self) -> Iterator[Selector]:
        for name in ("risks", "autonomy"):
            if wanted := getattr(self, name):
                yield selectors.any_of(name, [one.value for one in wanted], SEEN[name])
        for name in ("egress", "reversible"):
            if (yes := getattr(self, name)) is not None:
                yield selectors.flag(name, wanted=yes, seen=partial(_attribute, name))

    def _of_people(self) -> Iterator[Selector]:
        if self.roles:
            yield selectors.any_of("roles", self.roles, SEEN["roles"])
        if self.scopes:
            yield selectors.all_of("scopes", self.scopes, SEEN["scopes"])
        for name in ("principals", "agent_versions", "tenants", "environments"):
            if asked := getattr(self, name):
                yield selectors.patterns(name, asked, SEEN[name])

    def _of_numbers(self) -> Iterator[Selector]:
        for name in ("cost", "spent", "calls"):
            if (bounds := getattr(self, name)) is not None:
                yield selectors.within(name, bounds.range(), partial(_attribute, name))
        if self.times:
            yield selectors.times([window.window() for window in self.times])

    def _of_arguments(self) -> Iterator[Selector]:
        for pointer, test in self.arguments.items():
            yield argument(pointer, test)

    def _of_origins(self) -> Iterator[Selector]:
        if self.tainted is not None:
            yield selectors.flag(
                "tainted", wanted=self.tainted, seen=lambda c: c.provenance.tainted
            )
        asked: tuple[tuple[str, Words, Callable[[Provenance, Words], bool]], ...] = (
            ("trusted", self.trusted, Provenance.trusts),
            ("untrusted", self.untrusted, Provenance.distrusts),
        )
        for name, given, test in asked:
            if given:
                names = tuple(one.removeprefix("args.") for one in given)
                yield Selector(
                    name=name,
                    wants=f"{' and '.join(names)}: {name}",
                    test=partial(_of_provenance, test, names),
                    seen=lambda call: {"untrusted": call.provenance.untrusted},
                )


def _of_provenance(
    test: Callable[[Provenance, Words], bool], names: Words, call: CallRequest
) -> bool:
    return test(call.provenance, names)


STRUCTURED: Final = ("arguments", "times", "cost", "spent", "calls")
"""Selectors that are documents themselves."""

SEEN: Final[Mapping[str, Callable[[CallRequest], Sequence[str]]]] = {
    "risks": lambda call: (call.risk.value,),
    "autonomy": lambda call: (call.autonomy.value,),
    "roles": lambda call: call.principal.roles,
    "scopes": lambda call: call.principal.scopes,
    "principals": lambda call: (call.principal.name, call.principal.id),
    "agent_versions": lambda call: (call.agent_version,),
    "tenants": lambda call: (call.tenant,),
    "environments": lambda call: (call.environment,),
}


def _attribute(name: str, call: CallRequest) -> Any:
    return getattr(call, name)


def trimmed(value: Any) -> Any:
    """Give documents as they would be written: what they ask for, in plain values."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        asked = [name for name in fields if name in value.model_fields_set]
        return {fields[name].alias or name: trimmed(getattr(value, name)) for name in asked}
    if isinstance(value, dict):
        return {key: trimmed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [trimmed(item) for item in value]
    if isinstance(value, Decimal):
        whole, near = int(value), float(value)
        return whole if value == whole else near if Decimal(str(near)) == value else str(value)
    return value.isoformat() if isinstance(value, datetime) else value

"""What a run has been given and told, and what follows of it for a call.

A leaf is trusted only where it stands literally in a trusted source (`literal`). What
untrusted results hold never adds to that: it can only take away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from policy.core.json import Json, JsonObject, canonical, digest
from policy.core.provenance import Label, Origin, Provenance
from policy.provenance.closed import is_closed
from policy.provenance.inert import is_inert
from policy.provenance.intent import MAKING, Request, Wanted, kind_of
from policy.provenance.literal import EXACT, Literals, plain_leaves
from policy.provenance.targets import (
    escaped,
    free_names,
    is_id,
    is_target,
    leaf_at,
    leaves,
    names_in,
    schema_at,
    words_of,
)

MOST_LEAVES: Final = 2000
LONGEST_SEARCHED: Final = 64 * 1024
MOST_SEARCHED: Final = 64
SHORT_NUMBER: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that a run was told: what, by whom, and at which step."""

    label: Label
    value: Json
    name: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One effect of the run that was answered before the call in question was asked.

    `was_sent` says whether anybody outside was asked at all: what the engine itself says is
    no stranger's word. `is_vouched`: a person approved exactly this call.
    """

    place: str
    name: str
    label: Label
    value: Json
    arguments: Json = None
    changes: bool = False
    succeeded: bool = True
    was_sent: bool = True
    is_vouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a run begins with.

    `sources` are those it was given by people; `is_tainted` says that it began with something
    a stranger may have written (a fork, a child of a parent that had read such).
    """

    sources: tuple[Source, ...] = ()
    is_tainted: bool = False
    why_tainted: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call as provenance sees it: the tool's name, words and schema, and the arguments."""

    tool: str
    description: str = ""
    schema: JsonObject = field(default_factory=dict)
    targets: tuple[str, ...] | None = None
    arguments: JsonObject = field(default_factory=dict)


class Background:
    """What a run knows at one moment, and whom it has it from. It only grows."""

    def __init__(self, given: Given) -> None:
        self.tainted = given.is_tainted
        self._trusted: list[tuple[Source, Literals]] = []
        self._requests: list[Request] = []
        self._quiet: list[tuple[Source, Literals]] = []
        self._heard: list[Source] = [given.why_tainted] if given.why_tainted else []
        self._vouched: dict[tuple[str, str, bytes], str] = {}
        self._done: set[str] = set()
        self._approved: set[str] = set()
        for source in given.sources:
            self._trust(source)

    def forked(self) -> Background:
        """Copy it, to hear more without telling the original."""
        twin = Background(Given(is_tainted=self.tainted))
        twin._trusted, twin._requests = list(self._trusted), list(self._requests)
        twin._quiet, twin._heard = list(self._quiet), list(self._heard)
        twin._vouched, twin._done = dict(self._vouched), set(self._done)
        twin._approved = set(self._approved)
        return twin

    def _trust(self, source: Source) -> None:
        said = Literals()
        said.add(source.value)
        self._trusted.append((source, said))
        if source.label in {Label.USER, Label.OPERATOR}:
            self._requests += [Request(text) for text in plain_leaves(source.value)]

    def hear(self, answer: Answer) -> None:
        """Take in what an effect of the run was answered."""
        call = digest(answer.name, answer.arguments)
        if answer.is_vouched:
            self._approved.add(call)
            for leaf, value in leaves(answer.arguments):
                self._vouched.setdefault(_role(answer.name, leaf, value), answer.place)
        if not answer.was_sent:
            return
        if answer.changes and answer.succeeded:
            self._done.add(call)
        source = Source(
            label=answer.label, value=answer.value, name=answer.name, place=answer.place
        )
        if answer.label is Label.TRUSTED_TOOL and answer.succeeded:
            self._trust(source)
        else:
            self._listen(source, answer)

    def _listen(self, source: Source, answer: Answer) -> None:
        said = [one for _, one in self._trusted]
        echo = None if self.tainted else answer.arguments
        if self.tainted or not is_inert(source.value, said=said, arguments=echo):
            self.tainted = True
            self._heard.append(source)
            return
        quiet = Literals()
        quiet.add(source.value)
        self._quiet.append((source, quiet))

    def trusted_values(self) -> list[Json]:
        """Give what the trusted sources say."""
        return [source.value for source, _ in self._trusted]

    def standing(self, value: Json) -> list[str]:
        """List the leaves of a value that stand in a trusted source, by their pointers."""
        return [
            leaf
            for leaf, item in leaves(value)
            if any(said.hold(item) is not None for _, said in self._trusted)
        ]

    # --- A call ------------------------------------------------------------------------------

    def judge(self, asked: Asked) -> Provenance:
        """Say where each leaf of a call comes from, and whether the call was asked for."""
        found = [*leaves(asked.arguments), *free_names(asked.schema, asked.arguments)]
        call = digest(asked.tool, dict(asked.arguments))
        if len(found) > MOST_LEAVES:
            found = [("", None)]
        targets = {
            leaf for leaf, _ in found if is_target(asked.schema, leaf, asked.targets) or not leaf
        }
        origins = {
            leaf: self._origin(asked, leaf, value, is_target=leaf in targets)
            for leaf, value in found
        }
        wanted = _wanted(asked, found, targets, origins)
        return Provenance(
            origins=origins,
            targets=frozenset(targets),
            tainted=self.tainted,
            asked_for=call in self._approved
            or (
                not _may_mean_all(asked, targets)
                and any(request.asks_for(wanted) for request in self._requests)
            ),
            repeated=call in self._done,
            is_known=True,
        )

    def _origin(self, asked: Asked, leaf: str, value: Json, *, is_target: bool) -> Origin:
        if (found := self._in_trusted(asked, leaf, value)) is not None:
            return found
        role = _role(asked.tool, leaf, value)
        if (place := self._vouched.get(role)) is not None:
            return Origin(
                label=Label.PERSON, trusted=True, name="approved before", place=place, how=EXACT
            )
        if self._is_harmless(asked, leaf, value, is_target=is_target):
            return Origin(label=Label.SCHEMA, trusted=True, name="a choice that decides nothing")
        if not self.tainted:
            return self._unsteered(value)
        return self._tainted_by(value)

    def _in_trusted(self, asked: Asked, leaf: str, value: Json) -> Origin | None:
        for source, said in self._trusted:
            how = said.hold(value)
            if how is not None and not self._is_other_number(asked, leaf, value, source, said):
                return Origin(
                    label=source.label, trusted=True, name=source.name, place=source.place, how=how
                )
        return None

    def _is_other_number(
        self, asked: Asked, leaf: str, value: Json, source: Source, said: Literals
    ) -> bool:
        """A short number that is to name a thing must be called so: not the 13 of `13 people`."""
        text = str(value)
        if not (is_id(leaf) and text.isdigit() and len(text) < SHORT_NUMBER):
            return False
        if not isinstance(source.value, str):
            return False  # a field of a structured value is a value of its own
        _, nouns = kind_of(asked.tool, asked.description)
        words = {word for name in names_in(leaf) for word in words_of(name)} | set(nouns)
        return not said.numbered(text, frozenset(words))

    def _is_harmless(self, asked: Asked, leaf: str, value: Json, *, is_target: bool) -> bool:
        if is_target and not (value is None or value in ("", [], {})):
            return False
        said = Literals() if not self._trusted else self._trusted[0][1]
        return bool(leaf) and is_closed(asked.schema, leaf, value, said)

    def _unsteered(self, value: Json) -> Origin:
        for source, quiet in self._quiet:
            if quiet.hold(value) is not None:
                return Origin(
                    label=source.label, tainted=True, name=source.name, place=source.place
                )
        return Origin(label=Label.MODEL, name="written before anything untrusted was read")

    def _tainted_by(self, value: Json) -> Origin:
        """Name the result that the value stands in, or else the first that may have led to it."""
        for source in self._heard[:MOST_SEARCHED]:
            if _stands_in(value, source.value):
                return Origin(
                    label=source.label,
                    tainted=True,
                    name=source.name,
                    place=source.place,
                    how=EXACT,
                )
        for source, quiet in self._quiet:
            if quiet.hold(value) is not None:
                return Origin(
                    label=source.label, tainted=True, name=source.name, place=source.place
                )
        return Origin(label=Label.MODEL, tainted=True, name="written after untrusted text was read")


def _wanted(
    asked: Asked,
    found: Iterable[tuple[str, Json]],
    targets: set[str],
    origins: Mapping[str, Origin],
) -> Wanted:
    """Say what is to be found in the request: the values that stand in it."""
    said = [
        (leaf, value)
        for leaf, value in found
        if origins[leaf].label in {Label.USER, Label.OPERATOR} and not leaf.endswith("#")
    ]
    return Wanted(
        tool=asked.tool,
        description=asked.description,
        targets=[((names_in(leaf) or [""])[-1], value) for leaf, value in said if leaf in targets],
        others=[value for leaf, value in said if leaf not in targets],
    )


def _may_mean_all(asked: Asked, targets: set[str]) -> bool:
    """Say whether a call leaves out everything that says what it acts on, though it could say it.

    Deleting without saying which may delete all. What makes something new acts on nothing.
    """
    verbs, _ = kind_of(asked.tool, asked.description)
    could = schema_at(asked.schema, "").get("properties")
    names = [f"/{escaped(name)}" for name in could] if isinstance(could, Mapping) else []
    return (
        not MAKING.intersection(verbs)
        and all(leaf_at(asked.arguments, leaf) in (None, "", [], {}) for leaf in targets)
        and any(is_target(asked.schema, name, asked.targets) for name in names)
    )


def _role(tool: str, leaf: str, value: Json) -> tuple[str, str, bytes]:
    """Name a value in its role: a place in a list is no role of its own."""
    return tool, "/".join("*" if p.isdigit() else p for p in leaf.split("/")), canonical(value)


def _stands_in(value: Json, told: Json) -> bool:
    if not isinstance(value, str | int | float) or isinstance(value, bool) or value == "":
        return False
    text = told if isinstance(told, str) else canonical(told).decode("utf-8", "replace")
    sought = value if isinstance(value, str) else canonical(value).decode()
    return len(sought) > 1 and sought.lower() in text[:LONGEST_SEARCHED].lower()


def background(given: Given, answers: Iterable[Answer] = ()) -> Background:
    """Give what a run knows after these answers, in this order."""
    found = Background(given)
    for answer in answers:
        found.hear(answer)
    return found

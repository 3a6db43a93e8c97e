"""A release as others see it: functions, tables, tasks. Values, and a file of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

ARROW: Final = " -> "
NOT_NULL: Final = " not null"
DEFAULT: Final = " default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How a function is called: the types of its arguments, and what it gives."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    """Those with a default, which may be left out from the end."""
    gives: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """Give all of them."""
        return self.needs + self.takes

    def __str__(self) -> str:
        """Write it as `uuid, text, [integer] -> jsonb`."""
        optional = (f"[{one}]" for one in self.takes)
        return f"{', '.join((*self.needs, *optional))}{ARROW}{self.gives}"

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back."""
        left, _, gives = text.partition(ARROW)
        every = left.split(", ") if left else []
        optional = [one for one in every if one.startswith("[")]
        return cls(
            needs=tuple(every[: len(every) - len(optional)]),
            takes=tuple(one[1:-1] for one in optional),
            gives=gives,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its type, and what becomes of it in an INSERT that does not name it."""

    type: str
    is_needed: bool = False
    has_default: bool = False

    @property
    def may_be_left_out(self) -> bool:
        """Say whether an INSERT need not name it."""
        return self.has_default or not self.is_needed

    def __str__(self) -> str:
        """Write it as `text not null default`."""
        return f"{self.type}{NOT_NULL * self.is_needed}{DEFAULT * self.has_default}"

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back."""
        left = text.removesuffix(DEFAULT)
        kind = left.removesuffix(NOT_NULL)
        return cls(type=kind, is_needed=kind != left, has_default=left != text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a row must keep to: a constraint, a unique index, a trigger.

    Of one that was recorded only the definition is known.
    """

    definition: str
    columns: tuple[str, ...] = ()
    takes_defaults: bool = False
    """A check that is kept by a row in which all its columns have their defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: columns, rules, and what the app role may do with it."""

    columns: Mapping[str, Column]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    app_may: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task: the keywords of its messages, and the queue that they wait in.

    Who sends names what is needed, and may name what is taken.
    """

    queue: str
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    ignores_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What processes of a release ask for."""

    release: str
    checkpoint: int
    """The newest version of checkpoints that can be read."""
    tasks: Mapping[str, Task]
    functions: Mapping[str, tuple[Signature, ...]]
    """Those that code in Python names; the others are called by these, and come with them."""
    tables: Mapping[str, Table]

    def to_json(self) -> str:
        """Write it down, one thing a line."""
        return json.dumps(
            {
                "release": self.release,
                "checkpoint": self.checkpoint,
                "tasks": {name: asdict(task) for name, task in self.tasks.items()},
                "functions": {n: [str(one) for one in ways] for n, ways in self.functions.items()},
                "tables": {name: _table(table) for name, table in self.tables.items()},
            },
            indent=1,
            sort_keys=True,
        )

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back."""
        raw = json.loads(text)
        return cls(
            release=raw["release"],
            checkpoint=raw["checkpoint"],
            tasks={name: _task(task) for name, task in raw["tasks"].items()},
            functions={
                name: tuple(Signature.of(one) for one in ways)
                for name, ways in raw["functions"].items()
            },
            tables={name: _table_of(table) for name, table in raw["tables"].items()},
        )


def _table(table: Table) -> dict[str, Any]:
    return {
        "app_may": ", ".join(table.app_may),
        "columns": {name: str(column) for name, column in table.columns.items()},
        "rules": {name: rule.definition for name, rule in table.rules.items()},
    }


def _table_of(raw: Mapping[str, Any]) -> Table:
    return Table(
        columns={name: Column.of(text) for name, text in raw["columns"].items()},
        rules={name: Rule(definition=text) for name, text in raw["rules"].items()},
        app_may=tuple(raw["app_may"].split(", ")) if raw["app_may"] else (),
    )


def _task(raw: Mapping[str, Any]) -> Task:
    return Task(
        queue=raw["queue"],
        needs=tuple(raw["needs"]),
        takes=tuple(raw["takes"]),
        ignores_others=raw["ignores_others"],
    )

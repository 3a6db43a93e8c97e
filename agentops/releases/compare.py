"""Does what is there now answer what a release before asks for? Pure.

What was there stays; what is new lets a row through that does not know of it. Everything else goes
in two steps: beside the old one in one release, without the old one in the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agentops.releases.record import Column, Record, Rule, Signature, Table, Task

VARCHAR: Final = re.compile(r"character varying\((\d+)\)")
WIDER: Final = {
    "smallint": {"integer", "bigint"},
    "integer": {"bigint"},
    "character varying": {"text"},
}
ONE_OF: Final = re.compile(
    r"CHECK \(\(\(?(\w+)\)?(?:::text)? = ANY \(+ARRAY\[(.*)\]\)*(?:::[\w ]+\[\])?\)+"
)
"""`CHECK (((state)::text = ANY ((ARRAY['a'::character varying, ...])::text[])))`."""
LITERAL: Final = re.compile(r"'((?:[^']|'')*)'")
ONE_OF_CONSTANT: Final = re.compile(
    r"CHECK \(\(\(?(\w+)\)?(?:::text)? = ANY \('\{([^']*)\}'::text\[\]\)+"
)
"""`CHECK (((state)::text = ANY ('{a,b,""}'::text[])))`: none of our words needs quotes."""


def differences(before: Record, now: Record) -> list[str]:
    """Name each thing that processes of `before` ask for and would not get, with the cure."""
    return [
        *_functions(before, now),
        *_tables(before, now),
        *_messages(before, now),
        *_checkpoints(before, now),
    ]


# --- Functions ----------------------------------------------------------------------------------


def _functions(before: Record, now: Record) -> Iterator[str]:
    for name, ways in before.functions.items():
        there = now.functions.get(name, ())
        for old in ways:
            if not any(_answers(new, old) for new in there):
                found = "; ".join(map(str, there)) or "none"
                yield (
                    f"function {name}({old}) is gone (there is: {found}): "
                    "keep it beside the new one until the next release"
                )


def _answers(new: Signature, old: Signature) -> bool:
    """Say whether every call of the old signature is one of the new."""
    known = len(old.arguments)
    return (
        new.gives == old.gives
        and new.arguments[:known] == old.arguments
        and len(new.needs) <= len(old.needs)
    )


# --- Tables -------------------------------------------------------------------------------------


def _tables(before: Record, now: Record) -> Iterator[str]:
    for name, old in before.tables.items():
        if (new := now.tables.get(name)) is None:
            yield f"table {name} is gone: drop it in the next release"
            continue
        yield from _columns(name, old, new)
        yield from _rules(name, old, new)
        if lost := sorted(set(old.app_may) - set(new.app_may)):
            yield f"the app role may not {', '.join(lost)} in {name}: revoke it in the next release"


def _columns(table: str, old: Table, new: Table) -> Iterator[str]:
    for name, column in old.columns.items():
        there = new.columns.get(name)
        if there is None:
            yield f"column {table}.{name} is gone: drop it in the next release"
        else:
            yield from _column(f"{table}.{name}", column, there)
    for name in new.columns.keys() - old.columns.keys():
        if not new.columns[name].may_be_left_out:
            yield (
                f"new column {table}.{name} is NOT NULL without a default in the database: "
                "give it a db_default, or let it be NULL"
            )


def _column(name: str, old: Column, new: Column) -> Iterator[str]:
    if not _takes(new.type, old.type):
        yield (
            f"column {name} was {old.type} and is {new.type}: "
            "make another column, and drop the old one in the next release"
        )
    if new.is_needed and not old.is_needed:
        yield f"column {name} is NOT NULL now: let it be NULL until the next release"
    elif old.may_be_left_out and not new.may_be_left_out:
        yield f"column {name} has no default any more: drop that in the next release"


def _takes(new: str, old: str) -> bool:
    """Say whether a column of the new type takes and gives what one of the old did."""
    if new == old or new in WIDER.get(old.partition("(")[0], ()):
        return True
    longer, shorter = VARCHAR.fullmatch(new), VARCHAR.fullmatch(old)
    return bool(longer and shorter and int(longer[1]) >= int(shorter[1]))


def _rules(name: str, old: Table, new: Table) -> Iterator[str]:
    known = {rule.definition for rule in old.rules.values()}
    for title, rule in new.rules.items():
        before = old.rules.get(title)
        if rule.definition in known or _lets_old_rows_in(rule, old, new):
            continue
        if before is not None and _is_looser(rule.definition, before.definition):
            continue
        yield (
            f"rule {title} of {name} may refuse what was allowed: {rule.definition}: "
            "add it in the next release, or accept it with the reason why it refuses nothing"
        )


def _lets_old_rows_in(rule: Rule, old: Table, new: Table) -> bool:
    """Say whether a new rule is kept by every row in which what is new has its default."""
    fresh = [name for name in rule.columns if name not in old.columns]
    empty = [name for name in fresh if not new.columns[name].has_default]
    if rule.definition.startswith("CHECK"):
        return bool(fresh) and len(fresh) == len(rule.columns) and rule.takes_defaults
    if rule.definition.startswith(("UNIQUE", "CREATE UNIQUE", "FOREIGN KEY")):
        return bool(empty) and "NULLS NOT DISTINCT" not in rule.definition
    return False


def _is_looser(new: str, old: str) -> bool:
    """Say whether a check on one of several words only knows more of them."""
    wide, narrow = _one_of(new), _one_of(old)
    return wide is not None and narrow is not None and wide[0] == narrow[0] and narrow[1] <= wide[1]


def _one_of(definition: str) -> tuple[str, set[str]] | None:
    """Read a check on one of several words: its column, and the words."""
    if found := ONE_OF.fullmatch(definition):
        return found[1], set(LITERAL.findall(found[2]))
    if found := ONE_OF_CONSTANT.fullmatch(definition):
        return found[1], {word.strip('"') for word in found[2].split(",")}
    return None


# --- Messages -----------------------------------------------------------------------------------


def _messages(before: Record, now: Record) -> Iterator[str]:
    queues = {task.queue for task in now.tasks.values()}
    for name, old in before.tasks.items():
        new = now.tasks.get(name)
        if new is None:
            yield f"task {name} is gone, and its messages wait: drop it in the next release"
            continue
        if old.queue not in queues:
            yield f"nobody takes from the queue {old.queue} any more: leave it to the next release"
        yield from (f"a message of before is refused: {why}" for why in _refused(name, old, new))
        yield from (f"a worker of before refuses: {why}" for why in _refused(name, new, old))
    known = {task.queue for task in before.tasks.values()}
    for name in now.tasks.keys() - before.tasks.keys():
        if now.tasks[name].queue in known:
            yield (
                f"task {name} is new, and workers of before throw its messages away: "
                "give it a queue of its own, or send it from the next release on"
            )


def _refused(name: str, sent: Task, taken: Task) -> Iterator[str]:
    """Say what a worker that knows `taken` misses or does not know in messages of `sent`."""
    always = set(sent.needs)
    ever = {*sent.needs, *sent.takes}
    if missed := sorted(set(taken.needs) - always):
        yield f"task {name} wants {', '.join(missed)}: give it a default"
    strange = sorted(ever - {*taken.needs, *taken.takes})
    if strange and not taken.ignores_others:
        yield f"task {name} does not know {', '.join(strange)}: let it take `**_`"


def _checkpoints(before: Record, now: Record) -> Iterator[str]:
    if now.checkpoint > before.checkpoint:
        yield (
            f"checkpoints are of version {now.checkpoint}, and workers of before read up to "
            f"{before.checkpoint}: read them in this release, write them from the next on"
        )

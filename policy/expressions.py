"""The text of a condition: how large it is, and what parts it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from policy.errors import InvalidPolicy

LONGEST: Final = 1000
MOST_LOOPS: Final = 2
DEEPEST: Final = 20
MOST_REPEATS: Final = 500

_LOOP: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")
_TOUCH: Final = re.compile(
    r"\.\s*(?:contains|startsWith|endsWith|matches|size)\s*\(|\bsize\s*\(|\bstring\s*\(|[=!]=|<|>|\+|\bin\b"
)
_ARGS: Final = re.compile(r"\bargs\b")
_ARGUMENT: Final = re.compile(r"\bargs\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()")
_MATCHES: Final = re.compile(r"\bmatches\s*\(")
_LITERAL_ONLY: Final = re.compile(r"\bmatches\s*\(\s*(\x00+)\s*\)")
_REPEAT: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an expression costs to evaluate, as far as its text tells.

    `loops` counts the macros that go through a list, `bound` are the names they give to an
    item, `joins` the additions, `touches` the places that look into a text, `commas` bound
    the longest list that is written out. `arguments` are those that it reads, None: any.
    """

    loops: int
    bound: frozenset[str]
    joins: int
    touches: int
    commas: int
    arguments: frozenset[str] | None


def shape_of(expression: str) -> Shape:
    """Measure an expression.

    Raises:
        InvalidPolicy: it is too long, too deep, loops too often, or matches a pattern that is
            not written out or repeats too often.
    """
    if len(expression) > LONGEST:
        raise InvalidPolicy(f"a condition is {LONGEST} characters long at most")
    bare = without_texts(expression)
    loops = _LOOP.findall(bare)
    if len(loops) > MOST_LOOPS:
        raise InvalidPolicy(f"a condition loops {MOST_LOOPS} times at most (all, exists, map...)")
    if max(_depths(bare), default=0) > DEEPEST:
        raise InvalidPolicy(f"a condition is nested {DEEPEST} deep at most")
    _check_patterns(expression, bare)
    return Shape(
        loops=len(loops),
        bound=frozenset(loops),
        joins=bare.count("+"),
        touches=max(1, len(_TOUCH.findall(bare))),
        commas=bare.count(","),
        arguments=_arguments(bare),
    )


def _arguments(bare: str) -> frozenset[str] | None:
    named = _ARGUMENT.findall(bare)
    return frozenset(named) if len(named) == len(_ARGS.findall(bare)) else None


def _check_patterns(expression: str, bare: str) -> None:
    """Let a pattern be written out only: one from a call could be made to take long."""
    literals = list(_LITERAL_ONLY.finditer(bare))
    if len(literals) != len(_MATCHES.findall(bare)):
        raise InvalidPolicy("matches() takes a pattern that is written out, like matches('^a+$')")
    for found in literals:
        repeats = 1
        for least, most in _REPEAT.findall(expression[found.start(1) : found.end(1)]):
            repeats *= max(1, int(most or least))
        if repeats > MOST_REPEATS:
            raise InvalidPolicy(f"a pattern repeats its parts {MOST_REPEATS} times at most")


def without_texts(expression: str) -> str:
    """Blank every text literal out (with NULs), so that what is left is the grammar alone."""
    parts, at = [], 0
    for begin, end in _texts(expression):
        parts += [expression[at:begin], "\x00" * (end - begin)]
        at = end
    return "".join([*parts, expression[at:]])


_QUOTED: Final = re.compile(
    r"""(?P<raw>[rR])?(?P<quote>'''|\"\"\"|'|")""",
)


def _texts(expression: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (found := _QUOTED.search(expression, at)) is not None:
        end, quote = found.end(), found["quote"]
        while end < len(expression) and not expression.startswith(quote, end):
            end += 2 if expression[end] == "\\" and not found["raw"] else 1
        at = min(end + len(quote), len(expression))
        yield found.start(), at


def _depths(bare: str) -> Iterator[int]:
    depth = 0
    for sign in bare:
        depth += (sign in "([{") - (sign in ")]}")
        yield depth


def parts_of(expression: str) -> list[str]:
    """Split an expression at its outermost `&&`, or where it has none, at its outermost `||`."""
    bare = without_texts(expression)
    if "?" in bare:
        return [expression.strip()]
    either = _split(expression, bare, "||")
    if len(either) > 1:
        return either
    return _split(expression, bare, "&&")


def _split(expression: str, bare: str, sign: str) -> list[str]:
    parts, begin, depths = [], 0, [0, *_depths(bare)]
    for found in re.finditer(re.escape(sign), bare):
        if depths[found.start()] == 0:
            parts.append(expression[begin : found.start()].strip())
            begin = found.end()
    return [*parts, expression[begin:].strip()]


_PATH: Final = re.compile(r"\b[a-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*(?!\s*[\w(]))*")


def paths_of(expression: str) -> list[tuple[str, ...]]:
    """Name the values that an expression reads, like (args, amount); names of loops too."""
    found = [
        tuple(part.strip() for part in match.group().split("."))
        for match in _PATH.finditer(without_texts(expression))
    ]
    return list(dict.fromkeys(found))

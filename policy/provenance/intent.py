"""Did the user ask for a call of this kind? Words of the request against the tool's name.

`delete_file` is asked for where a clause of the request has a word for deleting that is not
denied, names what is to be deleted, and the request speaks of files. Otherwise the answer is
no, and a person is asked: this only ever says whether a call whose every value is trusted was
wanted at all, so that what a request says of one thing is not used for another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from policy.core.json import Json
from policy.provenance.lexicon import NOUNS, VERBS
from policy.provenance.lists import words
from policy.provenance.literal import Literals, amount_of, tokens_of
from policy.provenance.targets import words_of

_SKIPPED: Final = words(
    """
    a an the to from in on of for by with and or at as direct new my scheduled recurring all
    one single by slack gmail outlook google drive api v1 v2 tool crm mcp do perform handle
    manage process item
    """
)
_DENIALS: Final = words(
    """
    not dont never no without neither nor cannot cant wont shouldnt doesnt didnt avoid
    unless instead
    """
)
MAKING: Final = words(
    "create make new draft schedule plan add book reserve rent order buy purchase submit"
)
"""Verbs of what makes something new: it need not say what it acts on."""
DENIED: Final = 4
NEAR: Final = 2
LONGEST_REQUEST: Final = 20_000
_SENTENCES: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_LINKS: Final = frozenset({"and", "then", "but", "also", "or", "afterwards", "finally"})
_BACK: Final = frozenset(
    {"it", "its", "them", "there", "him", "her", "this", "that", "these", "those"}
)
_MONEY: Final = frozenset({"money", "payment", "transaction", "transfer", "amount", "funds"})
_ENDINGS: Final = ("ations", "ation", "ing", "ed", "es", "s", "ment", "ments", "er")
_LEAST_STEM: Final = 3


@cache
def _verbs() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in VERBS.strip().splitlines():
        verb, _, words = line.partition(":")
        found[verb] = frozenset(words.split()) | {verb}
    return found


@cache
def _nouns() -> dict[str, frozenset[str]]:
    lines = NOUNS.strip().replace("\n ", " ").splitlines()
    return {line.split()[0]: frozenset(line.split()) for line in lines}


def stem(word: str) -> frozenset[str]:
    """Give what a word may be a form of: booked, booking, books are forms of book."""
    found = {word}
    for ending in _ENDINGS:
        cut = word.removesuffix(ending)
        if cut != word and len(cut) >= _LEAST_STEM:
            found |= {cut, cut + "e"}
            if len(cut) > _LEAST_STEM and cut[-1] == cut[-2]:
                found.add(cut[:-1])
            if cut.endswith("i"):
                found.add(cut[:-1] + "y")
    if word.endswith("id") and word == "paid":
        found.add("pay")
    if word == "sent":
        found.add("send")
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call to be found in a request: its tool's name and words, and the values it names.

    `targets` are the values that decide where, to whom or what is acted on, by the names of
    their arguments; `others` the rest. Only values that stand in the request are among them.
    """

    tool: str
    description: str = ""
    targets: Sequence[tuple[str, Json]] = ()
    others: Sequence[Json] = ()


class Request:
    """A request, split into clauses: `look at the file and mail it to Bob` has two."""

    def __init__(self, text: str) -> None:
        self._clauses = [_Clause(part) for part in _split(text[:LONGEST_REQUEST])]

    def asks_for(self, wanted: Wanted) -> bool:
        """Say whether a clause asks for such a call, with these targets."""
        verbs, nouns = kind_of(wanted.tool, wanted.description)
        nouns = tuple(noun for noun in nouns if noun not in _named_by(wanted))
        if not any(clause.says_noun(nouns) for clause in self._clauses):
            return False
        return any(
            self._is_bound(place, wanted)
            for place, clause in enumerate(self._clauses)
            if any(clause.says_verb(verb) for verb in verbs)
        )

    def _is_bound(self, place: int, wanted: Wanted) -> bool:
        """Say whether the targets are named in the clause, or before it where it says `it`."""
        clause = self._clauses[place]
        first = max(0, place - NEAR) if clause.points_back else place
        near = self._clauses[first : place + 1]
        around = self._clauses[max(0, place - NEAR) : place + NEAR + 1]
        return all(
            any(one.said.hold(value) is not None for one in near) for _, value in wanted.targets
        ) and all(
            any(one.said.hold(value) is not None for one in around) for value in wanted.others
        )


class _Clause:
    def __init__(self, text: str) -> None:
        self.said = Literals()
        self.said.add(text)
        self.tokens = [_bare(token) for token in tokens_of(text)]
        self.forms = [stem(token) for token in self.tokens]
        self.points_back = bool(_BACK & set(self.tokens))

    def says_verb(self, verb: str) -> bool:
        """Say whether it has a word for a verb, and does not deny it."""
        wanted = _verbs()[verb]
        return any(
            forms & wanted and not _DENIALS & set(self.tokens[max(0, place - DENIED) : place])
            for place, forms in enumerate(self.forms)
        )

    def says_noun(self, nouns: Sequence[str]) -> bool:
        """Say whether it has a word for one of the nouns, or what only they have."""
        if not nouns:
            return True
        forms = frozenset().union(*self.forms)
        if any((_nouns().get(noun, frozenset()) | stem(noun)) & forms for noun in nouns):
            return True
        wanted = set(nouns)
        return any(_is_one(token, wanted) for token in self.tokens)


def _is_one(token: str, nouns: set[str]) -> bool:
    """Say whether a token is a thing of such a kind: $50, report.pdf, bob@x.com, #general."""
    return (
        (bool(nouns & _MONEY) and amount_of(token) is not None and not token.isdigit())
        or (bool(nouns & {"file", "document"}) and _has_extension(token))
        or (bool(nouns & {"email", "mail"}) and "@" in token[1:])
        or (bool(nouns & {"page", "webpage", "url"}) and _has_extension(token.partition("/")[0]))
        or ("channel" in nouns and token.startswith("#"))
    )


def _named_by(wanted: Wanted) -> frozenset[str]:
    """Give the nouns that a target itself is one of: the user of `user: Fred`; no mere number."""
    return frozenset(
        word
        for name, value in wanted.targets
        if isinstance(value, str) and value[:1].isalpha() and words_of(name)[-1:] != ["id"]
        for word in words_of(name)
    )


def _split(text: str) -> Iterator[str]:
    for sentence in _SENTENCES.split(text):
        clause: list[str] = []
        words = sentence.split()
        for place, word in enumerate(words):
            if clause and _begins(words, place):
                yield " ".join(clause)
                clause = []
            clause.append(word)
        if clause:
            yield " ".join(clause)


def _begins(words: Sequence[str], place: int) -> bool:
    """Say whether a clause begins here: `and mail`, `then send`, `, book`."""
    word = _bare(words[place].strip(",;:"))
    if word in _LINKS:
        following = [_bare(one.strip(",;:")) for one in words[place + 1 : place + 3]]
        return any(one in _verbs() for one in following)
    return words[place - 1].endswith(",") and word in _verbs()


def kind_of(tool: str, description: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read off a tool's name what it does, and to what; else off its description's first word."""
    words = [word for word in words_of(tool) if word not in _SKIPPED]
    verbs = _leading(words)
    if not verbs:
        first = [form for word in words_of(description)[:1] for form in stem(word)]
        verbs = [form for form in first if form in _verbs()]
        return tuple(verbs), tuple(words)
    return tuple(verbs), tuple(word for word in words if word not in verbs)


def _leading(words: list[str]) -> list[str]:
    """Find the verb: the first word of the last part that is one, or the only one anywhere."""
    known = [word for word in words if word in _verbs()]
    certain = [word for word in known if word not in _nouns()]
    return (certain or known)[:1]


def _bare(token: str) -> str:
    """Write a word without apostrophes, straight or curly: `don't` as `dont`."""
    return token.lower().replace("'", "").replace("\u2019", "")


def _has_extension(token: str) -> bool:
    name, dot, extension = token.rpartition(".")
    return bool(name and dot) and extension.isalnum() and len(extension) <= 4 and "@" not in token  # noqa: PLR2004

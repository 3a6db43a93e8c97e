"""Results in which nobody can have written an instruction: `sent`, 1810.0, a date, an echo.

A model that has read only such results has been told nothing by a stranger. Every other
result may steer it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from policy.core.json import Json
from policy.provenance.calendar import moment_of
from policy.provenance.lists import words
from policy.provenance.literal import Literals, amount_of, tokens_of
from policy.provenance.targets import leaves, words_of

MOST_LEAVES: Final = 60
MOST_WORDS: Final = 14
LONGEST_ID: Final = 64

_ID: Final = re.compile(
    r"(?:[A-Za-z]{1,12}[-_#:]?)?\d{1,20}|(?:[a-z]{1,12}[-_])?[0-9a-f]{6,40}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.ASCII,
)
_DONE: Final = words(
    """
    ok okay success successful successfully done sent created updated deleted removed added
    saved scheduled reserved booked cancelled canceled confirmed completed complete
    processed posted shared invited moved renamed uploaded archived stored changed accepted
    submitted queued delivered paid transferred pending published registered granted revoked
    refunded closed resolved assigned written copied appended
    """
)
_AROUND: Final = words(
    """
    the a an your new has have been was were is are to from for in on at of with by and no
    not found none id true false null transaction payment transfer email message event user
    channel file folder document reservation booking meeting appointment calendar hotel
    restaurant car account password reminder contact ticket order item invitation
    participant participants recipient recipients task status record now it this amount
    balance date time until between
    """
)
_KEYS: Final = _DONE | words(
    """
    id ids key uuid status state result results success ok error code message detail count
    total amount balance date time at on created updated deleted sent start end begin ends
    starts from to value data type kind transaction payment event email user channel file
    currency price number is has was item version
    """
)


def is_inert(value: Json, *, said: Iterable[Literals], arguments: Json) -> bool:
    """Say whether a result holds nothing but what nobody could steer a model with.

    `said` are the trusted texts, and `arguments` those of the call itself, whose echo says
    nothing new.
    """
    known, own = tuple(said), tuple(_own(arguments))
    found = list(leaves(value))
    if len(found) > MOST_LEAVES:
        return False
    names = set(_keys(arguments))
    return all(key in names or set(words_of(key)) <= _KEYS for key in _keys(value)) and all(
        _leaf_is_inert(leaf, known, own) for _, leaf in found
    )


def _leaf_is_inert(leaf: Json, said: Sequence[Literals], own: Sequence[list[str]]) -> bool:
    if not isinstance(leaf, str) or not leaf.strip():
        return True
    text = leaf.strip()
    if len(text) <= LONGEST_ID and (_ID.fullmatch(text) or moment_of(text) is not None):
        return True
    return any(one.hold(text) is not None for one in said) or _is_status(text, own)


def _is_status(text: str, own: Sequence[list[str]]) -> bool:
    tokens = tokens_of(text)
    for echo in own:
        tokens = _without(tokens, echo)
    rest = [token for token in tokens if not _is_plain(token)]
    return len(tokens) <= MOST_WORDS and not rest and (not tokens or bool(_DONE & set(tokens)))


def _is_plain(token: str) -> bool:
    return token in _DONE or token in _AROUND or amount_of(token) is not None


def _without(tokens: list[str], echo: Sequence[str]) -> list[str]:
    """Take an argument's own words out of what came back."""
    size = len(echo)
    for start in range(len(tokens) - size + 1):
        if tokens[start : start + size] == echo:
            return tokens[:start] + _without(tokens[start + size :], echo)
    return tokens


def _own(arguments: Json) -> Iterable[list[str]]:
    found = [tokens_of(str(leaf)) for _, leaf in leaves(arguments) if isinstance(leaf, str | int)]
    return sorted((one for one in found if one), key=len, reverse=True)


def _keys(value: Json) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _keys(item)

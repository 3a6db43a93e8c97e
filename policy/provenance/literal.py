"""Does a value stand literally in a text? Whole tokens only, and no look-alike passes.

Letters are folded, and spaces and the punctuation around words do not count; nothing else
is: a Cyrillic letter is no Latin one, a full-width digit no
digit, `a@b.com` is not in `aa@b.com.evil`.
Numbers, dates and times are compared by value, account numbers without their spaces,
addresses of pages with or without the scheme that people leave out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from policy.core.json import Json
from policy.provenance.calendar import Moments, moment_of
from policy.provenance.lists import words

EXACT: Final = "exact"
NORMALISED: Final = "normalised"

LONGEST_CODE: Final = 40
MOST_PIECES: Final = 12
FEWEST_DIGITS: Final = 6
SHORTEST_CODE: Final = 8

_OPENS: Final = "\"'\u201c\u201d\u2018\u2019«»`([{<*"
_ENDS: Final = _OPENS + ")]}>.,;:!?…"
_INNER: Final = re.compile(r"(?::(?!\d)|[,;()\[\]{}<>\"\u201c\u201d«»`|=—\u2013])+")
_AROUND_MAIL: Final = re.compile(r"[,;:()\[\]{}<>\"\u201c\u201d«»`|=]+")
_POSSESSIVE: Final = re.compile(r"['\u2019]s$", re.ASCII)
_AMOUNT: Final = re.compile(
    r"[-+]?(?:[$€£¥]|usd|eur|gbp|chf)?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
    r"(?:[%€$£]|usd|eur|gbp|chf)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?", re.ASCII)
_SCHEME: Final = re.compile(r"(https?)://(.+)", re.ASCII | re.IGNORECASE | re.DOTALL)
_HOST: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?::\d+)?(?:[/?#].*)?", re.ASCII)
_PIECE: Final = re.compile(r"[+]?[A-Za-z0-9-]{1,34}", re.ASCII)
_COMMON: Final = words(
    """
    a an and any are as at be been but by can could do does for from has have he her him his
    how i if in into is it its me more my no not of off on or our out please she should so
    some that the their them then there they this those to up us was we were what when where
    which who will with would you your
    """
)
_SPELT: Final = {
    word: Decimal(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    )
}


def folded(token: str) -> str:
    """Fold a token's case, where case says nothing: in a path or an opaque id it does."""
    if found := _SCHEME.fullmatch(token):
        host, slash, path = found[2].partition("/")
        return f"{found[1].lower()}://{_lower(host)}{slash}{path}".rstrip("/")
    if "/" in token and _HOST.match(token.partition("/")[0].lower()):
        host, _, path = token.partition("/")
        return f"{_lower(host)}/{path}".rstrip("/")
    if "/" in token or "\\" in token or _is_opaque(token):
        return token
    return _lower(token)


def _lower(text: str) -> str:
    """Fold letter by letter, never across alphabets: the Kelvin sign stays what it is."""
    if text.isascii():
        return text.lower()
    return "".join(_lowered(letter) for letter in text)


def _lowered(letter: str) -> str:
    low = letter.lower()
    if letter.isascii():
        return low
    return low if len(low) == 1 and not low.isascii() and low.upper() == letter else letter


def _is_opaque(token: str) -> bool:
    """Say whether a token mixes digits with letters of both cases, like an id."""
    if "@" in token or not any(c.isdigit() for c in token):
        return False
    return any(c.isupper() for c in token) and any(c.islower() for c in token)


def tokens_of(text: str) -> list[str]:
    """Split a text into its whole tokens, folded."""
    chunks = text.replace("\0", "\ufffd").split()
    return [folded(part) for chunk in chunks for part in _parts(chunk)]


def _parts(chunk: str) -> Iterator[str]:
    bare = chunk.lstrip(_OPENS).rstrip(_ENDS)
    if "://" in bare or "/" in bare or "\\" in bare or _AMOUNT.fullmatch(bare):
        pieces = [bare]
    else:
        pieces = (_AROUND_MAIL if "@" in bare else _INNER).split(bare)
    for piece in pieces:
        if inner := piece.lstrip(_OPENS).rstrip(_ENDS):
            yield inner


def amount_of(token: str) -> Decimal | None:
    """Read a token as a number: 50, -3.5, $1,100.70, 20%."""
    found = _AMOUNT.fullmatch(token)
    if found is None:
        return None
    value = Decimal(found[1].replace(",", ""))
    return -value if token.startswith("-") else value


@dataclass(slots=True)
class Literals:
    """Everything that stands in some texts, to be asked of values."""

    _lines: list[str] = field(default_factory=list)
    _raw: list[str] = field(default_factory=list)
    _tokens: list[list[str]] = field(default_factory=list)
    _numbers: set[Decimal] = field(default_factory=set)
    _bare_pages: set[str] = field(default_factory=set)
    _cut_pages: set[str] = field(default_factory=set)
    _moments: Moments = field(default_factory=Moments)

    def add(self, value: Json) -> None:
        """Take in a text, or every leaf of a structured value; its keys say nothing."""
        for leaf in plain_leaves(value):
            self._add_text(leaf)

    def _add_text(self, text: str) -> None:
        rest = self._moments.take(text)
        tokens = tokens_of(text)
        self._raw.append(text)
        self._tokens.append(tokens)
        self._lines.append(_line(tokens))
        easier = [_POSSESSIVE.sub("", t).lstrip("#") for t in tokens]
        if easier != tokens:
            self._lines.append(_line(easier))
        if any(token.startswith("@") for token in tokens):
            self._lines.append(_line([token.lstrip("@") for token in easier]))
        for token in tokens_of(rest):
            self._note(token)

    def _note(self, token: str) -> None:
        if (number := amount_of(token)) is not None:
            self._numbers.add(number)
        elif token in _SPELT:
            self._numbers.add(_SPELT[token])
        if found := _SCHEME.fullmatch(token):
            self._cut_pages.add(found[2])
        elif "@" not in token and _HOST.fullmatch(token.lower()):
            self._bare_pages.add(token)

    def hold(self, value: Json) -> str | None:
        """Say how a leaf stands in the texts: exactly, or normalised; None if it does not."""
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int | float):
            return NORMALISED if _decimal(value) in self._numbers else None
        if not isinstance(value, str) or not value.strip():
            return None
        return self._holds_text(value)

    def _holds_text(self, text: str) -> str | None:
        tokens = tokens_of(text)
        if not tokens or (len(tokens) == 1 and _says_nothing(tokens[0])):
            return EXACT if len(text) > 1 and text in self._raw and not tokens else None
        moment, code = moment_of(text), code_of(text)
        if _NUMBER.fullmatch(text.strip()):
            found = self._holds_numeral(text.strip())
        elif moment is not None and self._moments.cover(moment):
            found = True
        elif code is not None:
            found = self._holds_code(code) or (len(tokens) == 1 and self._has_line(tokens))
        else:
            found = self._holds_words(text, tokens)
        if not found:
            return None
        return EXACT if any(text in raw for raw in self._raw) else NORMALISED

    def _holds_words(self, text: str, tokens: list[str]) -> bool:
        return self._has_line(tokens) or self._holds_page(tokens) or self._holds_each(text, tokens)

    def _has_line(self, tokens: list[str]) -> bool:
        sought = [_line(tokens)]
        if len(tokens) == 1 and tokens[0].startswith("#") and len(tokens[0]) > 1:
            sought.append(_line([tokens[0][1:]]))
        return any(one in line for line in self._lines for one in sought)

    def _holds_numeral(self, text: str) -> bool:
        if _decimal(text) in self._numbers and (text == "0" or text[0] != "0" or "." in text):
            return True
        is_long = len(text) >= FEWEST_DIGITS or text[0] == "0"
        return is_long and (self._has_line([text]) or self._holds_code(text))

    def _holds_page(self, tokens: list[str]) -> bool:
        if len(tokens) != 1:
            return False
        found = _SCHEME.fullmatch(tokens[0])
        return found[2] in self._bare_pages if found else tokens[0] in self._cut_pages

    def _holds_each(self, text: str, tokens: list[str]) -> bool:
        """Several addresses in one text: each of them stands somewhere."""
        if len(tokens) < 2 or not re.fullmatch(r"[^\s,;]+(?:\s*[,;]\s*[^\s,;]+)+", text.strip()):  # noqa: PLR2004
            return False
        return all("@" in token and self._has_line([token]) for token in tokens)

    def _holds_code(self, code: str) -> bool:
        return any(_stands(code, tokens) for tokens in self._tokens)

    def numbered(self, number: str, words: frozenset[str]) -> bool:
        """Say whether a short number is named as what it is: `file 13`, `#13`, `id: 13`."""
        near = words | {"id", "ids", "no", "nr", "number", "num"}
        for raw, tokens in zip(self._raw, self._tokens, strict=True):
            for place, token in enumerate(tokens):
                if token == f"#{number}" and number:
                    return True
                if token == number and near & set(tokens[max(0, place - 2) : place]):
                    return True
            if re.search(rf"#{re.escape(number)}\b", raw):
                return True
        return False


def code_of(text: str) -> str | None:
    """Read an account or telephone number: many digits, whatever spaces are between."""
    compact = re.sub(r"[ \-]", "", text.strip()).upper()
    if not SHORTEST_CODE <= len(compact) <= LONGEST_CODE or not compact.isascii():
        return None
    if not re.fullmatch(r"[+]?[A-Z0-9]+", compact):
        return None
    digits = sum(letter.isdigit() for letter in compact)
    return compact if digits >= FEWEST_DIGITS and digits * 2 >= len(compact) else None


def _stands(code: str, tokens: list[str]) -> bool:
    """Say whether consecutive whole tokens make up a code, with no piece of a number beside.

    Where its own check digits say that it is whole, what stands beside does not matter.
    """
    for first in range(len(tokens)):
        last = _end_of(code, tokens, first)
        if last is None:
            continue
        around = tokens[max(0, first - 1) : first] + tokens[last + 1 : last + 2]
        if _is_iban(code) or not any(_is_piece_of_number(one) for one in around):
            return True
    return False


def _end_of(code: str, tokens: list[str], first: int) -> int | None:
    """Give the last of the tokens from `first` on that make up a code."""
    joined = ""
    for last in range(first, min(first + MOST_PIECES, len(tokens))):
        if _PIECE.fullmatch(tokens[last]) is None or not code.startswith(joined):
            return None
        joined += _compact(tokens[last])
        if joined == code:
            return last
    return None


def _is_iban(code: str) -> bool:
    if re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", code) is None:
        return False
    turned = code[4:] + code[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def _compact(token: str) -> str:
    return token.replace("-", "").upper()


def _is_piece_of_number(token: str) -> bool:
    return _PIECE.fullmatch(token) is not None and any(c.isdigit() for c in token)


def _says_nothing(token: str) -> bool:
    return token in _COMMON or (len(token) == 1 and token.isalpha())


def _line(tokens: Iterable[str]) -> str:
    return "\0" + "\0".join(tokens) + "\0"


def _decimal(value: float | str) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def plain_leaves(value: Json) -> Iterator[str]:
    """Give every text and number of a value as text; keys and truth values say nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from plain_leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plain_leaves(item)

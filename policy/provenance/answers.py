"""What may not leave with a run's answer: secrets, links that carry data away, others' ids.

Works on what is written, not on what is meant: see docs/provenance.md for what that misses.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from policy.core.json import Json, JsonObject

SHORTEST_SECRET: Final = 8
LONGEST_LABEL: Final = 20
LONGEST_HOST: Final = 48
LONGEST_PART: Final = 24
LONGEST_PATH: Final = 64
MOST_DIGITS: Final = 14
"""What a plain link has of its host's labels and its path's parts, alone and together."""
MOST_NAMED: Final = 3
"""Labels of a removed link's host that may be said."""


class Mode(StrEnum):
    """What is done with an answer that holds such things."""

    REDACT = "redact"
    ASK = "ask"
    WITHHOLD = "withhold"
    REPORT = "report"


KINDS: Final = ("secrets", "links", "ids")
"""What is looked for; a tenant sets a mode for each, and REDACT is the default."""

_LOOKS: Final = {
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "private key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}-----)?",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})[A-Za-z0-9_]*",
    "Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "model key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "API key": r"\bao_(?:live|test)_[A-Za-z0-9_-]{16,}",
    "webhook secret": r"\bwhsec_[A-Za-z0-9+/=]{24,}",
    "web token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
}
_SECRETS: Final = {name: re.compile(pattern) for name, pattern in _LOOKS.items()}
_LINK: Final = re.compile(r"(?:https?:)?//[^\s<>\"'`()\[\]{}|\\]+", re.IGNORECASE)
_IMAGE_BEFORE: Final = re.compile(
    r"(?:!\[[^\]]{0,200}\]\(\s{0,9}<?|<img\b[^>]{0,200}src\s{0,9}=\s{0,9}[\"']?|\]:\s{0,9}<?)$",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"(?<![@\w.-])(?:[\w-]{1,63}\.)+[a-z\u00a1-\uffff]{2,24}\b", re.IGNORECASE
)
_UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is done with each kind, and the tenant's own secrets by value."""

    modes: Mapping[str, Mode] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def mode(self, kind: str) -> Mode:
        """Give what is done with a kind."""
        return self.modes.get(kind, Mode.REDACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that was found: its kind, and what can be said of it without saying it."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An answer as it may leave, and what was found in it."""

    value: Json
    found: tuple[Found, ...] = ()

    def withheld(self, rules: Rules) -> bool:
        """Say whether it may not leave at all."""
        return any(rules.mode(one.kind) is Mode.WITHHOLD for one in self.found)

    def asked_about(self, rules: Rules) -> bool:
        """Say whether it leaves only if a person lets it."""
        return any(rules.mode(one.kind) is Mode.ASK for one in self.found)

    def told(self) -> JsonObject:
        """Count what was found, by its words."""
        counts = Counter(f"{one.kind}: {one.what}" for one in self.found)
        return {name: counts[name] for name in sorted(counts)}


def texts_of(value: Json) -> Iterable[str]:
    """Give every text in a value, the names of objects too."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, part in value.items():
                yield name
                yield from texts_of(part)
        case list() | tuple():
            for part in value:
                yield from texts_of(part)
        case _:
            return


def has_links(value: Json) -> bool:
    """Say whether there is anything in a value that could be a link."""
    return any("//" in text for text in texts_of(value))


def ids_in(value: Json) -> set[str]:
    """Name the ids that a value holds."""
    return {found.lower() for text in texts_of(value) for found in _UUID.findall(text)}


def hosts_in(value: Json) -> set[str]:
    """Name the hosts that a text names, as addresses or by themselves; not those of mail."""
    found = {host.lower() for text in texts_of(value) for host in _HOST.findall(text)}
    return found | {_host(link) for text in texts_of(value) for link in _LINK.findall(text)}


def check(
    value: Json,
    rules: Rules,
    *,
    hosts: Collection[str] | None = None,
    foreign: Collection[str] = (),
) -> Checked:
    """Look through an answer. `hosts` are those it may send data to; None: any.

    `foreign` are ids that belong to somebody else.
    """
    found: list[Found] = []

    def clean(text: str) -> str:
        text = _secrets(text, rules, found)
        if hosts is not None:
            text = _links(text, rules, hosts, found)
        return _ids(text, rules, foreign, found) if foreign else text

    return Checked(value=_through(value, clean), found=tuple(found))


def _through(value: Json, clean: Callable[[str], str]) -> Json:
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {clean(name): _through(part, clean) for name, part in value.items()}
        case list() | tuple():
            return [_through(part, clean) for part in value]
        case _:
            return value


def _secrets(text: str, rules: Rules, found: list[Found]) -> str:
    redacts = rules.mode("secrets") is Mode.REDACT
    for secret in rules.secrets:
        for shape in _shapes(secret):
            if shape in text:
                found.append(Found(kind="secrets", what="a credential of the tenant"))
                text = text.replace(shape, "[secret removed]") if redacts else text
    for what, pattern in _SECRETS.items():
        hits = len(pattern.findall(text))
        found += [Found(kind="secrets", what=what)] * hits
        text = pattern.sub("[secret removed]", text) if hits and redacts else text
    return text


def _shapes(secret: str) -> list[str]:
    """Give the ways in which a secret is commonly written: itself, in an address, in base64."""
    if len(secret) < SHORTEST_SECRET:
        return []
    coded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return list(dict.fromkeys([secret, quote(secret, safe=""), coded]))


def _links(text: str, rules: Rules, hosts: Collection[str], found: list[Found]) -> str:
    redacts = rules.mode("links") is Mode.REDACT

    def judged(match: re.Match[str]) -> str:
        link = match[0]
        host = _host(link)
        if host in hosts or host.removeprefix("www.") in hosts:
            return link
        before = text[max(match.start() - 260, 0) : match.start()]
        if not (_IMAGE_BEFORE.search(before) or _carries(link)):
            return link
        named = _named(host)
        found.append(Found(kind="links", what=named or "no host"))
        return f"[link removed: {named}]" if redacts else link

    return _LINK.sub(judged, text)


def _parts(link: str) -> SplitResult:
    """Take a link apart; raises ValueError for one that is none."""
    return urlsplit(f"https:{link}" if link.startswith("//") else link)


def _host(link: str) -> str:
    try:
        return (_parts(link).hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def _named(host: str) -> str:
    """Name a host without what its labels may carry: no long one, and only the last of many."""
    labels = [label if len(label) <= LONGEST_LABEL else "…" for label in host.split(".")]
    return ".".join(labels if len(labels) <= MOST_NAMED else ["…", *labels[-MOST_NAMED:]])


def _carries(link: str) -> bool:
    """Say whether a link has room for data: a query, a fragment, a user, length, many digits."""
    try:
        parts = _parts(link)
        host = parts.hostname or ""
    except ValueError:
        return True
    return bool(
        parts.query
        or parts.fragment
        or "@" in parts.netloc
        or _is_long(host.split("."), LONGEST_LABEL, LONGEST_HOST)
        or _is_long(parts.path.split("/"), LONGEST_PART, LONGEST_PATH)
        or sum(char.isdigit() for char in host + parts.path) > MOST_DIGITS
    )


def _is_long(parts: Sequence[str], one: int, together: int) -> bool:
    lengths = [len(part) for part in parts]
    return max(lengths) > one or sum(lengths) > together


def _ids(text: str, rules: Rules, foreign: Collection[str], found: list[Found]) -> str:
    def judged(match: re.Match[str]) -> str:
        if match[0].lower() not in foreign:
            return match[0]
        found.append(Found(kind="ids", what="an id of another tenant"))
        return "[id removed]" if rules.mode("ids") is Mode.REDACT else match[0]

    return _UUID.sub(judged, text)

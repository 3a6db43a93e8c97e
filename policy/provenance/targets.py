"""Which arguments decide where something goes, to whom, or what is acted on.

A tool may say so itself (`targets`). Where it does not, the names, formats and descriptions
of its arguments do: rather one argument too many than one too few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from policy.core.json import Json, JsonObject
from policy.provenance.lists import words

DEEPEST: Final = 16

_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_PLACES: Final = words(
    """
    to cc bcc recipient recipients receiver receivers payee payees beneficiary beneficiaries
    creditor email emails mail mailbox iban bic swift account accounts address addresses url
    urls uri uris link links href host hosts hostname domain domains endpoint server webhook
    callback channel channels room rooms group groups team user users username login member
    members participant participants attendee attendees invitee invitees person people
    contact contacts phone mobile tel telephone destination dest target targets path paths
    file files filename folder folders directory dir bucket repo repository branch topic
    queue database db table id ids uuid guid key handle hotel restaurant company customer
    client employee owner assignee reviewer vendor supplier merchant wallet card device site
    page thread conversation chat sku
    """
)
_CONTENT: Final = words(
    """
    body content text message subject title description amount price cost quantity count
    number_of date time start end note notes comment summary reason currency language format
    limit offset size
    """
)
_FORMATS: Final = words(
    """
    email idn-email uri uri-reference iri iri-reference url hostname idn-hostname ipv4 ipv6
    uuid
    """
)
_TOLD: Final = re.compile(
    r"\b(recipients?|iban|e-?mail address(es)?|urls?|hostname|web ?page|website|destination"
    r"|bank account|account (number|id)|identifier|ids?|file ?path|path (to|of)|phone number"
    r"|webhook|name of the (user|channel|hotel|restaurant|company|file|person|contact))\b",
    re.ASCII | re.IGNORECASE,
)


def words_of(name: str) -> list[str]:
    """Split a name as programmers write them into its words: `fileId`, `send_money`, `crm.read`."""
    return [word.lower() for word in _WORD.findall(name)]


def leaves(value: Json, pointer: str = "") -> Iterator[tuple[str, Json]]:
    """Give every leaf of a value with its JSON Pointer; what is empty is a leaf, too."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from leaves(item, f"{pointer}/{escaped(str(name))}")
    elif isinstance(value, list | tuple) and value:
        for place, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{place}")
    elif value != {} or pointer:
        yield pointer, value


def free_names(schema: JsonObject, value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Give the names in a value that its schema does not list: whoever wrote it chose them.

    Each stands under the pointer of its member and a `#`. Where a schema says nothing of the
    arguments at all, those themselves are left out: they are the tool's.
    """
    here = schema_at(schema, pointer)
    listed = here.get("properties")
    listed = listed if isinstance(listed, Mapping) else {}
    if isinstance(value, Mapping):
        for name, item in value.items():
            below = f"{pointer}/{escaped(str(name))}"
            if name not in listed and (pointer or listed):
                yield f"{below}#", str(name)
            yield from free_names(schema, item, below)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from free_names(schema, item, f"{pointer}/{place}")


def leaf_at(value: Json, pointer: str) -> Json:
    """Give the part of a value that a JSON Pointer names, or None."""
    here: Any = value
    for part in pointer.split("/")[1:]:
        if isinstance(here, Mapping):
            here = here.get(unescaped(part))
        elif isinstance(here, list | tuple) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


def escaped(part: str) -> str:
    """Write a name as a part of a JSON Pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def unescaped(part: str) -> str:
    """Read a part of a JSON Pointer."""
    return part.replace("~1", "/").replace("~0", "~")


def names_in(pointer: str) -> list[str]:
    """Give the names on the way to a leaf, places in lists left out."""
    return [unescaped(part) for part in pointer.split("/")[1:] if not part.isdigit()]


def is_below(pointer: str, name: str) -> bool:
    """Say whether a leaf belongs to an argument: `to`, `items.email`, or the pointer of either."""
    wanted = [unescaped(p) for p in name.split("/")[1:]] if name[:1] == "/" else name.split(".")
    parts = [unescaped(part) for part in pointer.split("/")[1:]]
    return any(path[: len(wanted)] == wanted for path in (parts, names_in(pointer)))


def schema_at(schema: JsonObject, pointer: str) -> JsonObject:
    """Find what a schema says of a leaf; nothing where it cannot be told."""
    here: Any = schema
    for part in pointer.split("/")[1:][:DEEPEST]:
        here = _below(_plain(schema, here), unescaped(part))
    return _plain(schema, here)


def _below(here: JsonObject, part: str) -> Any:
    properties = here.get("properties")
    if isinstance(properties, Mapping) and part in properties:
        return properties[part]
    if part.isdigit() and "items" in here:
        return here["items"]
    more = here.get("additionalProperties")
    return more if isinstance(more, Mapping) else {}


def _plain(root: JsonObject, found: Any) -> JsonObject:
    """Follow references into the schema itself, and through `X or null`."""
    for _ in range(DEEPEST):
        if not isinstance(found, Mapping):
            return {}
        reference = found.get("$ref")
        choices = found.get("anyOf") or found.get("oneOf")
        if isinstance(reference, str) and reference.startswith("#/"):
            found = _followed(root, reference)
        elif isinstance(choices, Sequence) and not isinstance(choices, str):
            real = [c for c in choices if isinstance(c, Mapping) and c.get("type") != "null"]
            if len(real) != 1:
                return found
            found = {**{k: v for k, v in found.items() if k not in {"anyOf", "oneOf"}}, **real[0]}
        else:
            return found
    return {}


def _followed(root: JsonObject, reference: str) -> Any:
    here: Any = root
    for part in reference[2:].split("/"):
        here = here.get(unescaped(part)) if isinstance(here, Mapping) else None
    return here


def is_target(schema: JsonObject, pointer: str, declared: Sequence[str] | None) -> bool:
    """Say whether an argument's leaf decides where, to whom, or what is acted on."""
    if declared is not None:
        return any(is_below(pointer, name) for name in declared)
    names = names_in(pointer)
    told = [schema_at(schema, _up(pointer, up)) for up in range(min(2, len(names)))]
    return any(_named_so(name) for name in names) or any(_told_so(names, one) for one in told)


def _up(pointer: str, steps: int) -> str:
    parts = pointer.split("/")
    return "/".join(parts[: len(parts) - steps])


def _named_so(name: str) -> bool:
    words = words_of(name)
    return bool(words) and (bool(set(words) & _PLACES) and words[-1] not in _CONTENT)


def _told_so(names: Sequence[str], schema: JsonObject) -> bool:
    if schema.get("format") in _FORMATS:
        return True
    if names and set(words_of(names[-1])) & _CONTENT:
        return False
    return _TOLD.search(str(schema.get("description", ""))) is not None


def is_id(pointer: str) -> bool:
    """Say whether a leaf is called an id or a number of something."""
    names = names_in(pointer)
    last = words_of(names[-1]) if names else []
    return bool(last) and last[-1] in {"id", "ids", "uuid", "guid", "key", "number", "no"}

"""API keys: what they look like, and how one is told from a typing mistake.

    ao_live_ + 32 letters and digits + 6 of checksum

The prefix and the checksum let secret scanners find a leaked key, and let the
authentication refuse a mistyped one without asking the database.
"""

from __future__ import annotations

import hashlib
import string
import zlib
from typing import Final

ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH: Final = 32
CHECKSUM_LENGTH: Final = 6
VISIBLE_LENGTH: Final = 14
LIVE: Final = "ao_live_"
TEST: Final = "ao_test_"


def compose(prefix: str, secret: str) -> str:
    """Make the key of a secret: prefix, secret, checksum."""
    return prefix + secret + _checksum(prefix + secret)


def is_well_formed(key: str) -> bool:
    """Say whether this can be a key at all."""
    body = key.removeprefix(LIVE) if key.startswith(LIVE) else key.removeprefix(TEST)
    return (
        len(body) == SECRET_LENGTH + CHECKSUM_LENGTH
        and key != body
        and all(letter in ALPHABET for letter in body)
        and _checksum(key[:-CHECKSUM_LENGTH]) == key[-CHECKSUM_LENGTH:]
    )


def hashed(key: str) -> str:
    """Give what is stored of a key. It holds 190 bits of chance, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def visible_part(key: str) -> str:
    """Give the part that lists show, to tell keys apart."""
    return key[:VISIBLE_LENGTH]


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    return digits

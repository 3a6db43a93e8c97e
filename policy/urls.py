"""Addresses that people enter: checked when they are stored, not when they are called."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 500


def checked(url: str) -> str:
    """Give an http(s) URL back without a slash at its end.

    Raises:
        ValueError: it is no such URL, or holds what does not belong into one.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one out of range
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} must begin with http:// or https:// and name a host")
    if parts.username or parts.password:
        raise ValueError("a URL must not hold a user or a password: give the key apart")
    if parts.query or parts.fragment or len(url) > LONGEST or not url.isprintable() or " " in url:
        raise ValueError(f"a URL here has no ?, # or blanks, and {LONGEST} characters at most")
    return url.rstrip("/")

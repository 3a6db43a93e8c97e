"""Lists of words, written as text."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Give the words of a list."""
    return frozenset(text.split())

"""A small library: this product's own glossary."""

from __future__ import annotations

from tools.registry import tool

SHORT = 3
LIBRARY = {
    "checkpoint": "A checkpoint is a run's whole state after a super-step; it is never edited.",
    "lease": "A lease is the right to write for a run until it expires or somebody newer has it.",
    "fencing": "A fencing token grows with every lease, so that late writes change nothing.",
    "ledger": "The effect ledger has every call of a model or tool before it is sent.",
    "approval": "An approval is a person's decision about exactly one call, made once.",
    "budget": "A budget sets money aside before it is spent, and pauses the run at its limit.",
}


@tool("library.search", effect="read", risk="low", summary="Search the library: {question}")
async def search(question: str) -> dict[str, str]:
    """Find articles whose name or text shares a word with the question."""
    wanted = {word for word in _words(question) if len(word) > SHORT}
    return {name: text for name, text in LIBRARY.items() if wanted & _words(f"{name} {text}")}


def _words(text: str) -> set[str]:
    return {word.strip("?.,;").lower() for word in text.split()}

"""The model of the examples: it plays a script, so that they need no key and no network.

It reads what it is asked and says what a model would say to it; whatever else it is asked,
it says that it is a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.core.messages import Message, ToolOffer
from gateway.providers.scripted import Line, calls, script
from policy.provenance.delimit import undelimited

NAME = "examples"
TOPICS = ("How does a lease fence late writes?", "What is in the ledger before a call?")
ORDER = re.compile(r"order (\d{4})", re.IGNORECASE)
ADDRESS = re.compile(r"[\w.]+@[\w.]+\w")


@script(NAME)
def fast(messages: Sequence[Message], tools: Sequence[ToolOffer]) -> Line:
    """Say the next line of whichever conversation this is."""
    asked = messages[0]["content"]
    if asked.startswith("Plan research"):
        topic = asked.rpartition(":")[2].strip()
        return "\n".join((*TOPICS, f"What is known of {topic}?"))
    if asked.startswith("Write up"):
        found = asked.partition("\n")[2]
        return f"{len(found.splitlines())} questions were looked up. In short:\n{found}"
    if asked.startswith("Write one sentence"):
        return asked.partition("What was done: ")[2].strip() + " Thank you for your patience."
    if tools:
        return _support(messages, {tool.name for tool in tools})
    return f"(This model plays a script. It was asked: {asked[:200]})"


def _support(messages: Sequence[Message], tools: set[str]) -> Line:
    """Look the order up, then do what the customer wants, then say what came of it."""
    asked, order = messages[0]["content"], ORDER.search(messages[0]["content"])
    results: list[Any] = [
        {**message, "content": undelimited(message["content"])}
        for message in messages
        if message["role"] == "tool"
    ]
    if order is None or "orders.find" not in tools:
        return "Which order is it about? Please tell me its number."
    number = int(order[1])
    if not results:
        return calls(("orders.find", {"order": number}), content="Let me look at the order.")
    if len(results) == 1 and not results[0].get("is_error"):
        return _deed(asked, number, results[0]["content"])
    return f"About order {number}: {results[-1]['content']}"


def _deed(asked: str, number: int, found: str) -> Line:
    total = re.search(r'"total":([\d.]+)', found)
    address = ADDRESS.search(asked)
    if "refund" in asked.lower() and total is not None:
        return calls(("payments.refund", {"order": number, "amount": float(total[1])}))
    if address is not None:
        return calls(("mail.send", {"to": address[0], "text": f"About your order: {found}"}))
    return f"This is what we have: {found}"

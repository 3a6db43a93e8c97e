"""Support, as a react loop: a prompt and tools, no control flow of its own."""

from runs.agents.react import ReactSettings, react
from runs.agents.registry import register

PROMPT = """You answer customers of a shop. Look their order up before you say anything about it.
Refund only what was paid. Be brief."""

support = register(
    react(
        "support",
        "1",
        ReactSettings(
            prompt=PROMPT,
            model="fast",
            tools=("orders.find", "payments.refund", "mail.send"),
            max_super_steps=12,
        ),
        description="Answer a customer: find the order, refund it, write to somebody.",
    )
)

"""A shop's books: orders, payments, mail. They live in this file and change nothing real."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel

from tools.registry import ToolContext, ToolError, tool


class Order(BaseModel):
    order: int
    customer: str
    email: str
    item: str
    total: float


class Receipt(BaseModel):
    receipt: str
    amount: float


ORDERS = {
    number: Order(order=number, customer=customer, email=email, item=item, total=total)
    for number, customer, email, item, total in (
        (1001, "Ada", "ada@customers.example", "a kettle", 39.9),
        (1002, "Grace", "grace@customers.example", "a bicycle", 420.0),
        (1003, "Edsger", "edsger@customers.example", "a piano", 6200.0),
        (1004, "Barbara", "barbara@customers.example", "a chair", 249.0),
        (1005, "Alan", "alan@elsewhere.example", "a radio", 80.0),
    )
}


@tool("orders.find", effect="read", risk="low", summary="Look order {order} up")
async def find_order(order: int) -> Order:
    """Look an order up by its number: customer, item, total in US dollars."""
    if order not in ORDERS:
        raise ToolError(f"there is no order {order}")
    return ORDERS[order]


@tool("payments.refund", effect="once", risk="high", summary="Refund ${amount} for order {order}")
async def refund(order: int, amount: float, context: ToolContext) -> Receipt:
    """Pay an amount in US dollars back to whoever ordered."""
    if order not in ORDERS or amount <= 0:
        raise ToolError(f"there is nothing to refund for order {order}")
    return Receipt(receipt=_number("R", context), amount=amount)


@tool("mail.send", effect="idempotent", risk="medium", summary="Write to {to}")
async def send_mail(to: str, text: str, context: ToolContext) -> str:
    """Send a letter to an address; gives its number."""
    if "@" not in to or not text:
        raise ToolError("a letter needs an address and a text")
    return _number("M", context)


def _number(kind: str, context: ToolContext) -> str:
    """Number what was done by the call's own key: the same call, the same number."""
    return f"{kind}-{hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:8]}"

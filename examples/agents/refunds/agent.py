"""Refund an order, if it can be refunded."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel

from policy.core.money import Limits
from runs.agents import Context, ToolFailed, agent


class Request(BaseModel):
    order: int
    reason: str


class Report(BaseModel):
    refunded: float
    receipt: str
    told_customer: str


@agent(
    "refunds",
    version="1",
    model="fast",
    tools=["orders.find", "payments.refund", "mail.send"],
    budget=Limits(cost=Decimal("0.10"), tool_calls=10),
)
async def refunds(ctx: Context, request: Request) -> Report:
    """Find the order, pay the money back, tell the customer."""
    order = await ctx.tool("orders.find", order=request.order)
    try:
        paid = await ctx.tool("payments.refund", order=request.order, amount=order["total"])
    except ToolFailed as refused:
        paid, outcome = {"amount": 0.0, "receipt": ""}, f"No refund. {refused.failure.detail}."
    else:
        outcome = f"{paid['amount']:.2f} were paid back, receipt {paid['receipt']}."
    letter = await ctx.model(
        f"Write one sentence to {order['customer']} about order {request.order}, "
        f"returned because: {request.reason}. What was done: {outcome}"
    )
    await ctx.tool("mail.send", to=order["email"], text=letter["content"])
    return Report(refunded=paid["amount"], receipt=paid["receipt"], told_customer=letter["content"])

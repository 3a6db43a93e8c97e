"""Notices: what subscribers are told of approvals and budgets, and when it is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

EVENTS: Final = (
    "approval.requested",
    "approval.escalated",
    "approval.expiring",
    "approval.decided",
    "approval.expired",
    "approval.withdrawn",
    "budget.alerted",
)
"""What a subscription may ask to be told of."""

CONTENTS: Final = ("arguments", "reasons")
"""What a notice holds only where the tenant allowed it: a call's content, and people's words."""

PAUSES: Final = (5, 30, 300, 1800, 7200, 18000, 36000)
"""Seconds before each further attempt; after the last one a notice is dead. About 18 hours."""
JITTER: Final = 0.2


def pause(attempts: int, dice: float) -> timedelta | None:
    """Say how long to wait after so many failed attempts; None: there will be no other.

    `dice` is from 0 to 1: receivers that come back are not met by everybody at one moment.
    """
    if attempts > len(PAUSES):
        return None
    return timedelta(seconds=PAUSES[attempts - 1] * (1 + JITTER * dice))

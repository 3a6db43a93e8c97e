"""What can go wrong in policy, as one family of exceptions."""

from __future__ import annotations

from datetime import datetime


class PolicyError(Exception):
    """Base of every error that the policy app raises."""


class NoTenantScope(PolicyError):  # noqa: N818 - a state, named as the reader meets it
    """Rows of tenants were asked for outside `tenancy.scope(...)`; nothing was read."""

    def __init__(self, model: str) -> None:
        super().__init__(f"{model} rows belong to tenants: open `tenancy.scope(tenant_id)` first")


class InvalidPolicy(PolicyError):  # noqa: N818
    """A policy document or rule cannot be used; nothing was stored.

    `pointer` is the JSON Pointer of the offending part.
    """

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail, self.pointer = detail, pointer


class InvalidRetry(PolicyError):  # noqa: N818
    """What was declared about trying again makes no sense; the message names the part."""


class PolicyNotDraft(PolicyError):  # noqa: N818
    """The version was in force, so it is never edited; nothing was changed."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"policy {number} was in force and never changes: make a draft from it and edit that"
        )


class PolicyChanged(PolicyError):  # noqa: N818
    """Somebody edited the draft since it was read; nothing was changed."""


class NotAllowed(PolicyError):  # noqa: N818
    """The caller is known but may not do this; nothing was done."""


class ApprovalNotOpen(PolicyError):  # noqa: N818
    """The approval was decided, expired or withdrawn before; the first decision stands."""

    def __init__(self, state: str, *, by: str = "", at: datetime | None = None) -> None:
        who = f" by {by}" if by else ""
        when = f", {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
        super().__init__(f"this approval is already {state}{who}{when}; a decision is made once")
        self.state = state


class ApprovalClaimed(PolicyError):  # noqa: N818
    """Somebody else has claimed the approval; nothing was done."""


class ApprovalChanged(PolicyError):  # noqa: N818
    """The digest or version named is not the approval's; read it again before deciding."""


class InvalidDecision(PolicyError):  # noqa: N818
    """The decision does not fit this kind of approval, or lacks what it needs."""


class InvalidRaise(PolicyError):  # noqa: N818
    """A budget raise that is not a positive amount of a known unit; nothing was changed."""


class InvalidBudget(PolicyError):  # noqa: N818
    """A budget that makes no sense; nothing was changed. `pointer` names the part."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.errors = [(pointer, detail)]


class BudgetChanged(PolicyError):  # noqa: N818
    """The budget is not the version named; read it again."""


class InvalidSetting(PolicyError):  # noqa: N818
    """A tenant's setting that makes no sense; nothing was changed."""


class SecretUnreadable(PolicyError):  # noqa: N818
    """A stored secret does not decrypt."""

    def __init__(self) -> None:
        super().__init__(
            "a stored secret cannot be read: AGENTOPS_SECRET_KEY is not the one it was stored "
            "under. Start with the old key, or enter the secret again"
        )


class InvalidLimit(PolicyError):  # noqa: N818
    """A rate limit that makes no sense; nothing was changed. `pointer` names the part."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.errors = [(pointer, detail)]


class UnknownLimit(PolicyError):  # noqa: N818
    """There is no such rate limit in this tenant."""


class LimitChanged(PolicyError):  # noqa: N818
    """The rate limit is not the version named; read it again."""


class InvalidSubscription(PolicyError):  # noqa: N818
    """A subscription that makes no sense; nothing was changed. `pointer` names the part."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.errors = [(pointer, detail)]


class UnknownSubscription(PolicyError):  # noqa: N818
    """There is no such subscription in this tenant."""


class SubscriptionChanged(PolicyError):  # noqa: N818
    """The subscription is not the version named; read it again."""


class UnknownNotice(PolicyError):  # noqa: N818
    """There is no such notice in this tenant."""


class NoticeUnderway(PolicyError):  # noqa: N818
    """The notice is still being tried by itself; nothing was done."""


class UnknownPrincipal(PolicyError):  # noqa: N818
    """There is no such principal in this tenant."""


class InvalidReviewing(PolicyError):  # noqa: N818
    """Groups or a risk that cannot be; nothing was changed. `pointer` names the part."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.errors = [(pointer, detail)]


class InvalidSwitch(PolicyError):  # noqa: N818
    """A breaker cannot be held like that; nothing was changed."""


class RequestsLimited(PolicyError):  # noqa: N818
    """The caller sent too many requests; `seconds` later there is room for one."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests with this key; wait {seconds:.1f} s")
        self.retry_after = seconds

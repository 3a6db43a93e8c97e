"""What can go wrong in policy, as one family of exceptions."""

from __future__ import annotations


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


class NotAllowed(PolicyError):  # noqa: N818
    """The caller is known but may not do this; nothing was done."""


class ApprovalNotOpen(PolicyError):  # noqa: N818
    """The approval was decided, expired or withdrawn before; the first decision stands."""

    def __init__(self, state: str) -> None:
        super().__init__(f"this approval is already {state}; a decision is made once")
        self.state = state


class ApprovalChanged(PolicyError):  # noqa: N818
    """The digest or version named is not the approval's; read it again before deciding."""


class InvalidDecision(PolicyError):  # noqa: N818
    """The decision does not fit this kind of approval, or lacks what it needs."""


class InvalidRaise(PolicyError):  # noqa: N818
    """A budget raise that is not a positive amount of a known unit; nothing was changed."""


class SecretUnreadable(PolicyError):  # noqa: N818
    """A stored secret does not decrypt."""

    def __init__(self) -> None:
        super().__init__(
            "a stored secret cannot be read: AGENTOPS_SECRET_KEY is not the one it was stored "
            "under. Start with the old key, or enter the secret again"
        )

"""The one maker of permits: nothing reaches the world without one.

    CallRequest ──enforce──▶ Permit            go ahead, with exactly this call
                           │ ApprovalNeeded    a person decides first
                           │ Refusal           never, and why

A `Permit` names the digest of the call and the moment it ends; `tools.invoke` checks
both. It can only be built in this module.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from policy.core.rules.decide import CallRequest, Decision, Policy, Verdict, decide

_SEALING_KEY: Final = secrets.token_bytes(32)
PERMIT_LIFE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make exactly one call, until `expires_at`."""

    tool: str
    digest: str
    expires_at: datetime
    verdict: Verdict
    seal: bytes = b""

    def __post_init__(self) -> None:
        if not hmac.compare_digest(self.seal, _seal(self.tool, self.digest, self.expires_at)):
            raise TypeError("permits are made by policy.enforce only")

    def covers(self, *, tool: str, digest: str, now: datetime) -> bool:
        """Say whether this permit is for that call and still good."""
        return self.tool == tool and self.digest == digest and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Refusal:
    """The call may not be made."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The call may be made only after a person approved exactly it."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Approved:
    """Proof that a person approved a call: the digest and policy version they decided on."""

    digest: str
    policy_version: str


def enforce(
    policy: Policy, request: CallRequest, *, now: datetime, approved: Approved | None = None
) -> Permit | Refusal | ApprovalNeeded:
    """Judge a call under a policy.

    An approval counts only for the digest and under the policy version it was given for:
    after a change of policy a person is asked again. It never overrules a refusal.
    """
    verdict = decide(policy, request)
    match verdict.decision:
        case Decision.ALLOW:
            return _permit(request, verdict, now)
        case Decision.DENY:
            return Refusal(verdict)
        case Decision.REQUIRE_APPROVAL:
            if approved == Approved(request.digest, verdict.policy_version):
                return _permit(request, verdict, now)
            return ApprovalNeeded(verdict)
        case unknown:
            assert_never(unknown)


def _permit(request: CallRequest, verdict: Verdict, now: datetime) -> Permit:
    ends, digest = now + PERMIT_LIFE, request.digest
    return Permit(
        tool=request.tool,
        digest=digest,
        expires_at=ends,
        verdict=verdict,
        seal=_seal(request.tool, digest, ends),
    )


def _seal(tool: str, digest: str, ends: datetime) -> bytes:
    text = f"{tool}\0{digest}\0{ends.isoformat()}".encode()
    return hmac.digest(_SEALING_KEY, text, "sha256")

"""The rows of policy."""

from policy.models.approvals import (
    Approval,
    ApprovalDecision,
    ApprovalKind,
    ApprovalState,
    DecisionAction,
)
from policy.models.audit import AuditEvent
from policy.models.budgets import (
    Budget,
    BudgetPeriod,
    BudgetRaise,
    BudgetScope,
    ProposalKind,
    ProposalState,
    RaiseKind,
    RaiseProposal,
)
from policy.models.calibrations import Calibration
from policy.models.limits import BreakerSwitch, RateLimit, SwitchPosition
from policy.models.notices import Channel, Notice, NoticeState, Subscription
from policy.models.policies import PolicyRule, PolicyState, PolicyVersion
from policy.models.tenants import ApiKey, IdempotentAnswer, Principal, Role, Team, Tenant

__all__ = [
    "ApiKey",
    "Approval",
    "ApprovalDecision",
    "ApprovalKind",
    "ApprovalState",
    "AuditEvent",
    "BreakerSwitch",
    "Budget",
    "BudgetPeriod",
    "BudgetRaise",
    "BudgetScope",
    "Calibration",
    "Channel",
    "DecisionAction",
    "IdempotentAnswer",
    "Notice",
    "NoticeState",
    "PolicyRule",
    "PolicyState",
    "PolicyVersion",
    "Principal",
    "ProposalKind",
    "ProposalState",
    "RaiseKind",
    "RaiseProposal",
    "RateLimit",
    "Role",
    "Subscription",
    "SwitchPosition",
    "Team",
    "Tenant",
]

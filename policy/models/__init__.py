"""The rows of policy."""

from policy.models.approvals import (
    Approval,
    ApprovalDecision,
    ApprovalKind,
    ApprovalState,
    DecisionAction,
)
from policy.models.audit import AuditEvent
from policy.models.budgets import Budget, BudgetRaise, BudgetScope
from policy.models.calibrations import Calibration
from policy.models.limits import BreakerSwitch, RateLimit, SwitchPosition
from policy.models.notices import Channel, Notice, NoticeState, Subscription
from policy.models.policies import PolicyRule, PolicyState, PolicyVersion
from policy.models.tenants import ApiKey, IdempotentAnswer, Principal, Role, Tenant

__all__ = [
    "ApiKey",
    "Approval",
    "ApprovalDecision",
    "ApprovalKind",
    "ApprovalState",
    "AuditEvent",
    "BreakerSwitch",
    "Budget",
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
    "RateLimit",
    "Role",
    "Subscription",
    "SwitchPosition",
    "Tenant",
]

"""The rows of policy."""

from policy.models.approvals import Approval, ApprovalKind, ApprovalState
from policy.models.audit import AuditEvent
from policy.models.budgets import Budget, BudgetRaise, BudgetScope
from policy.models.policies import PolicyRule, PolicyVersion
from policy.models.tenants import ApiKey, IdempotentAnswer, Principal, Role, Tenant

__all__ = [
    "ApiKey",
    "Approval",
    "ApprovalKind",
    "ApprovalState",
    "AuditEvent",
    "Budget",
    "BudgetRaise",
    "BudgetScope",
    "IdempotentAnswer",
    "PolicyRule",
    "PolicyVersion",
    "Principal",
    "Role",
    "Tenant",
]

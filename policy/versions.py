"""Reads of policy versions, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from policy.documents import PolicyDocument
from policy.models import PolicyState, PolicyVersion, Tenant
from policy.policies import document_of
from policy.queries import Page, Position, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """A policy version as it stands; `document` where its rules were asked for."""

    id: UUID
    number: int
    state: PolicyState
    revision: int
    note: str
    created_at: datetime
    created_by: str
    edited_at: datetime | None
    edited_by: str
    activated_at: datetime | None
    document: PolicyDocument | None = None

    @property
    def is_draft(self) -> bool:
        """Say whether it may be edited."""
        return self.state is PolicyState.DRAFT

    @property
    def rules(self) -> list[dict[str, Any]]:
        """Give the rules as they would be written."""
        return [] if self.document is None else [rule.written() for rule in self.document.rules]

    @property
    def answers(self) -> dict[str, Any]:
        """Give what is said of answers, as it would be written."""
        return {} if self.document is None else self.document.answers.written()

    @property
    def yaml(self) -> str:
        """Give the rules, and what is said of answers, as a YAML document."""
        return "" if self.document is None else self.document.text()


def policy_versions(*, position: Position | None, limit: int) -> Page[PolicyView]:
    """List the scope's policy versions, newest first."""
    active = _active()
    rows = PolicyVersion.objects.all()
    return page_of(rows, lambda row: _view(row, active), position=position, limit=limit)


def policy_version(policy_id: UUID | None) -> PolicyView:
    """Read one version with its rules; None means the one in force.

    Raises:
        PolicyVersion.DoesNotExist: the tenant has no such version, or none in force.
        InvalidPolicy: it holds what this code cannot read.
    """
    active = _active()
    wanted = active if policy_id is None else policy_id
    if wanted is None:
        raise PolicyVersion.DoesNotExist("no policy is in force")
    row = PolicyVersion.objects.get(pk=wanted)
    return _view(row, active, document_of(row))


def _active() -> UUID | None:
    return Tenant.objects.values_list("policy_version_id", flat=True).get()


def _view(
    row: PolicyVersion, active: UUID | None, document: PolicyDocument | None = None
) -> PolicyView:
    state = PolicyState.ACTIVE if row.id == active else PolicyState.RETIRED
    return PolicyView(
        id=row.id,
        number=row.number,
        state=PolicyState.DRAFT if row.activated_at is None else state,
        revision=row.revision,
        note=row.note,
        created_at=row.created_at,
        created_by=row.created_by,
        edited_at=row.edited_at,
        edited_by=row.edited_by,
        activated_at=row.activated_at,
        document=document,
    )

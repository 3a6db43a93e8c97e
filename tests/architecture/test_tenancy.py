"""Tenants are kept apart by the shape of the tables, not by anybody's memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.apps import apps
from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from policy.models import Tenant
from policy.models.base import ScopedManager, TenantRow
from policy.tenancy.security import SecureTables

LEVEL: Final = {"runs": 3, "tools": 2, "gateway": 2, "policy": 1, "auth": 0}
"""How high an app stands; foreign keys point down, or stay inside their app."""

CLAIM: Final = re.compile(r"^one_|_once(_|$)|_is_|_iff_|_has_|_not_|_only_|_within_", re.IGNORECASE)


def rows() -> list[type[models.Model]]:
    ours = [label for label, level in LEVEL.items() if level]
    return [model for label in ours for model in apps.get_app_config(label).get_models()]


def named(model: type[models.Model]) -> str:
    return model._meta.label


def steps() -> Iterator[tuple[str, Operation]]:
    """Go through what makes a new database: no step that a folded one stands for."""
    loader = MigrationLoader(None)
    for (label, _), migration in loader.graph.nodes.items():
        for operation in migration.operations:
            yield label, operation


def secured() -> dict[tuple[str, str], SecureTables]:
    return {
        (label, name.lower()): step
        for label, step in steps()
        if isinstance(step, SecureTables)
        for name in step.models
    }


@pytest.mark.parametrize("model", [row for row in rows() if row is not Tenant], ids=named)
def test_every_row_but_the_tenant_itself_belongs_to_a_tenant(model: type[models.Model]) -> None:
    assert issubclass(model, TenantRow)
    assert isinstance(model._default_manager, ScopedManager)


@pytest.mark.parametrize("model", rows(), ids=named)
def test_every_table_with_a_tenant_is_secured_by_a_migration(model: type[models.Model]) -> None:
    step = secured().get((model._meta.app_label, str(model._meta.model_name)))

    assert step is not None, f"name {named(model)} in a SecureTables step"
    assert step.column == ("id" if model is Tenant else "tenant_id")


def test_what_is_secured_is_still_there() -> None:
    known = {(model._meta.app_label, str(model._meta.model_name)) for model in rows()}

    assert set(secured()) <= known


def test_logs_and_history_are_append_only() -> None:
    append_only = {
        (label, name.lower())
        for label, step in steps()
        if isinstance(step, SecureTables)
        for name in step.append_only
    }

    assert append_only >= {
        ("policy", "auditevent"),
        ("policy", "budgetraise"),
        ("runs", "checkpoint"),
        ("runs", "runevent"),
    }


def references() -> Iterator[Any]:
    for model in rows():
        for field in model._meta.get_fields():
            if field.is_relation and field.concrete:
                yield pytest.param(model, field, id=f"{named(model)}.{field.name}")


@pytest.mark.parametrize(("model", "field"), list(references()))
def test_a_foreign_key_follows_the_arrows(model: type[models.Model], field: Any) -> None:
    here, there = model._meta.app_label, field.related_model._meta.app_label

    assert here == there or LEVEL[here] > LEVEL[there]


def constraints() -> Iterator[Any]:
    for model in rows():
        for constraint in model._meta.constraints:
            yield pytest.param(constraint.name, id=constraint.name)


@pytest.mark.parametrize("name", list(constraints()))
def test_the_name_of_a_constraint_is_a_claim(name: str) -> None:
    assert CLAIM.search(name), f"{name!r} does not say what is always true"

"""What `migrate` does beside Django's own steps: tables made together, SQL functions made anew.

A function is code, not data: it has no history to go through, only its present text. So
the files under every app's `sql/` are run after each `migrate`, in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.apps import AppConfig
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel

ONE_AT_A_TIME: Final = 0x61676F7073
"""The advisory lock that keeps two migrations from replacing one function at once."""


class CreateModels(Operation):
    """A migration step: make the tables of these models.

    By steps of their own Django would render anew, for each, every model that it is related to;
    all are related through the tenant.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, *steps: CreateModel) -> None:
        self.steps = steps

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Add the models, and leave it to whoever asks next to render them, once."""
        state.__dict__.pop("apps", None)
        for step in self.steps:
            step.state_forwards(app_label, state)

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Make the tables."""
        for step in self.steps:
            step.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        """Drop the tables, the newest first."""
        for step in reversed(self.steps):
            step.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        """Say what this step does."""
        return f"Create models {', '.join(step.name for step in self.steps)}"


def install_functions(connection: BaseDatabaseWrapper, apps: Iterable[AppConfig]) -> None:
    """Replace the functions of these apps, all or none.

    A function whose parameters changed is made beside the old one, so that workers of the
    release before find theirs.
    """
    files = [path for app in apps for path in sorted(Path(app.path, "sql").glob("*.sql"))]
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        for path in files:
            cursor.execute(path.read_text("utf-8"))

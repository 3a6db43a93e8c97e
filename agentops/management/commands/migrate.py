"""`manage.py migrate`: Django's own, after the application's database role is there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import ProgrammingError, connections

from policy.tenancy.security import ensure_app_role


class Command(DjangoMigrate):
    """Bring the database to the code's schema, roles and grants included."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the role, then migrate.

        Raises:
            CommandError: the role of DATABASE_URL may not create roles.
        """
        try:
            ensure_app_role(connections[options["database"]])
        except ProgrammingError as error:
            raise CommandError(
                f"cannot make the application's role: {error}. Grant CREATEROLE to the role of "
                "DATABASE_URL, or make a role yourself and set APP_DATABASE_URL"
            ) from error
        super().handle(*args, **options)

"""`manage.py migrate`: Django's own, between the application's role and the SQL functions."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.checks import Tags
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import ProgrammingError, connections

from policy.tenancy.migrating import install_functions
from policy.tenancy.security import ensure_app_role


class Command(DjangoMigrate):
    """Bring the database to the code's schema, roles, grants and functions included."""

    requires_system_checks = (Tags.database,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the role, migrate, and make the functions anew.

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
        if not options["plan"]:
            install_functions(connections[options["database"]], apps.get_app_configs())

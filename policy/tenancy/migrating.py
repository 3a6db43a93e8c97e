"""SQL functions, made anew whenever the database is migrated.

A function is code, not data: it has no history to go through, only its present text. So
the files under every app's `sql/` are run after each `migrate`, in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from django.apps import AppConfig
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

ONE_AT_A_TIME: Final = 0x61676F7073
"""The advisory lock that keeps two migrations from replacing one function at once."""


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

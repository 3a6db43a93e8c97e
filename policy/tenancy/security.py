"""The database's own wall between tenants: two roles, row-level security, append-only tables.

system role   owns the tables; migrates, sweeps; sees every tenant by a policy of its own
app role      web and workers; sees the tenant of the current scope, or nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.migrations.operations.base import Operation
from psycopg import sql

CURRENT_TENANT = "nullif(current_setting('agentops.tenant_id', true), '')::uuid"

SECURE = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON {table} TO {app}
  USING ({column} = {current}) WITH CHECK ({column} = {current});
CREATE POLICY system_rows ON {table} TO CURRENT_USER USING (true) WITH CHECK (true);
"""

APPEND_ONLY = """
REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {app};
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION policy_refuse_change();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION policy_refuse_change();
"""

ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
    CREATE ROLE {app} LOGIN PASSWORD {password};
  ELSE
    ALTER ROLE {app} LOGIN PASSWORD {password};
  END IF;
END $$;
"""

GRANTS = """
GRANT USAGE ON SCHEMA public TO {app};
ALTER DEFAULT PRIVILEGES IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {app};
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {app};
"""


class SecureTables(Operation):
    """A migration step: bind the application's role to one tenant's rows of these models."""

    reduces_to_sql = True
    reversible = True

    def __init__(
        self, *models: str, append_only: Sequence[str] = (), column: str = "tenant_id"
    ) -> None:
        self.models, self.append_only, self.column = models, tuple(append_only), column

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Leave the models as they are."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: Any,  # noqa: ARG002 - the signature is Django's
        to_state: Any,
    ) -> None:
        """Enable and force row-level security, and refuse changes where declared."""
        for name in self.models:
            table = to_state.apps.get_model(app_label, name)._meta.db_table  # noqa: SLF001
            _run(schema_editor, SECURE, table=table, column=self.column)
            if name in self.append_only:
                _run(schema_editor, APPEND_ONLY, table=table)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: Any,
        to_state: Any,  # noqa: ARG002 - Django's signature
    ) -> None:
        """Take the wall down again."""
        for name in self.models:
            table = from_state.apps.get_model(app_label, name)._meta.db_table  # noqa: SLF001
            for policy in ("tenant_rows", "system_rows"):
                schema_editor.execute(f'DROP POLICY {policy} ON "{table}"')
            for trigger in ("append_only", "append_only_all") if name in self.append_only else ():
                schema_editor.execute(f'DROP TRIGGER {trigger} ON "{table}"')
            schema_editor.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')

    def describe(self) -> str:
        """Say what this step does."""
        return f"Secure rows of {', '.join(self.models)}"


def _run(schema_editor: Any, statement: str, *, table: str, column: str = "tenant_id") -> None:
    schema_editor.execute(
        statement.format(
            table=f'"{table}"', app=f'"{settings.APP_ROLE}"', column=column, current=CURRENT_TENANT
        )
    )


def ensure_app_role(connection: Any) -> None:
    """Make the application's role, or give it its present password, and its default grants.

    Does nothing to the role itself where `APP_DATABASE_URL` names one: then it is the
    operator's, and only the grants are made.

    Raises:
        django.db.Error: the system role may not create roles.
    """
    role = sql.Identifier(settings.APP_ROLE)
    with connection.cursor() as cursor:
        if settings.APP_PASSWORD:
            cursor.execute(
                sql.SQL(ROLE).format(
                    name=sql.Literal(settings.APP_ROLE),
                    app=role,
                    password=sql.Literal(settings.APP_PASSWORD),
                )
            )
        cursor.execute(sql.SQL(GRANTS).format(app=role))

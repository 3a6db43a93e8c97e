"""The engine's statements as SQL functions, and the wall between tenants."""

from pathlib import Path

from django.db import migrations

from policy.tenancy.migrating import functions
from policy.tenancy.security import SecureTables

SQL = Path(__file__).resolve().parent.parent / "sql"

ROOM_FOR_UPDATES = "ALTER TABLE runs_run SET (fillfactor = 60)"


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial"), ("policy", "0004_budget_functions")]

    operations = [
        SecureTables(
            "Agent",
            "AgentVersion",
            "Run",
            "Checkpoint",
            "Task",
            "Effect",
            "RunEvent",
            "OutboxMessage",
            append_only=["Checkpoint", "RunEvent"],
        ),
        migrations.RunSQL(ROOM_FOR_UPDATES, migrations.RunSQL.noop),
        functions(SQL / "engine.sql"),
    ]

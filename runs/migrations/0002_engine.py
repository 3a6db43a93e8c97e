"""The wall between tenants, and room on the pages of rows that are rewritten often."""

from django.db import migrations

from policy.tenancy.security import SecureTables

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
    ]

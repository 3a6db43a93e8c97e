"""Rows of tenants are walled off by the database itself; audit rows never change."""

from django.db import migrations

from policy.tenancy.security import SecureTables

REFUSE = """
CREATE FUNCTION policy_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("policy", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSE, "DROP FUNCTION policy_refuse_change()"),
        SecureTables("Tenant", column="id"),
        SecureTables(
            "Principal",
            "ApiKey",
            "IdempotentAnswer",
            "PolicyVersion",
            "PolicyRule",
            "Approval",
            "Budget",
            "BudgetRaise",
            "AuditEvent",
            append_only=["AuditEvent", "BudgetRaise", "PolicyRule"],
        ),
    ]

"""Rows of tenants are walled off by the database itself."""

from django.db import migrations

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):
    dependencies = [("tools", "0001_initial"), ("policy", "0002_row_security")]

    operations = [SecureTables("ToolServer", "RemoteTool")]

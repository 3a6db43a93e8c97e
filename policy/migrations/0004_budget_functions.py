"""Reserving and settling money, as SQL functions."""

from pathlib import Path

from django.db import migrations

from policy.tenancy.migrating import functions

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("policy", "0003_lookups")]

    operations = [functions(SQL / "budgets.sql")]

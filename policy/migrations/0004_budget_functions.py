"""Nothing any more: SQL functions are made by `migrate` itself, after the migrations."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("policy", "0003_lookups")]

    operations = []

"""Since when a line has been let in from, so that its rate is not taken too low at first."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("runs", "0014_effect_by_moment")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE runs_line ADD since timestamptz NOT NULL DEFAULT clock_timestamp()",
            "ALTER TABLE runs_line DROP since",
        ),
    ]

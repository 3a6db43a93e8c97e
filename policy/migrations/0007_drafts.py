"""Drafts may be edited. What was in force stays as it was: `policy/sql/policies.sql` sees to it."""

from django.conf import settings
from django.db import migrations, models
from psycopg import sql


def let_drafts_be_edited(apps, schema_editor):
    """Let the application write rules; a trigger keeps those of versions that were in force."""
    app = sql.Identifier(settings.APP_ROLE)
    table = sql.Identifier("policy_policyrule")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TRIGGER IF EXISTS append_only ON {}").format(table))
        cursor.execute(sql.SQL("GRANT UPDATE, DELETE ON {} TO {}").format(table, app))


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0006_retention'),
    ]

    operations = [
        migrations.AddField(
            model_name='policyrule',
            name='selectors',
            field=models.JSONField(blank=True, default=dict, help_text='What else is asked of a call, see docs/policies.md'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='edited_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='edited_by',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='revision',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.RunPython(let_drafts_be_edited, migrations.RunPython.noop),
    ]

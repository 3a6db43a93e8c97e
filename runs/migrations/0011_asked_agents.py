"""Agents that are asked about approvals."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0010_compensations'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='answers_id',
            field=models.UUIDField(null=True),
        ),
    ]

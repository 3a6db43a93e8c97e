"""What reviewers correct of a run's state."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0015_budgets_in_time'),
    ]

    operations = [
        migrations.AddField(
            model_name='approval',
            name='corrections',
            field=models.JSONField(db_default={}, default=dict),
        ),
    ]

"""What is done with what may not leave with an answer."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0016_corrections'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='answers',
            field=models.JSONField(blank=True, db_default={}, default=dict, editable=False, help_text='What is done with secrets, links and ids in answers; redact where not said.'),
        ),
    ]

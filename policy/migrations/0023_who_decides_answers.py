"""A policy may say who decides about answers that are held."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0022_questions_of_answers'),
    ]

    operations = [
        migrations.AddField(
            model_name='policyversion',
            name='answers',
            field=models.JSONField(blank=True, db_default={}, default=dict, help_text='Who decides about answers that are held, and by when.'),
        ),
    ]

"""A question may be whether an answer leaves."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0021_notices_of_budgets'),
    ]

    operations = [
        migrations.AlterField(
            model_name='approval',
            name='kind',
            field=models.CharField(choices=[('tool_call', 'Tool Call'), ('outcome_unknown', 'Outcome Unknown'), ('guard', 'Guard'), ('answer', 'Answer')], max_length=20),
        ),
    ]

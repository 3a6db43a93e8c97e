"""Two more things that a run may wait for: a breaker, and room under a limit."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0007_drafts'),
        ('runs', '0008_backtests'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='run',
            name='run_reason_is_known',
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['', 'timer', 'approval', 'outcome_unknown', 'poison', 'version', 'budget', 'signal', 'children', 'breaker', 'rate_limit'])), name='run_reason_is_known'),
        ),
    ]

"""What each tenant may have of the workers: its share, and its bounds."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0013_asked_agents'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='max_active',
            field=models.PositiveIntegerField(blank=True, help_text='Runs that may be worked on at once; empty: no bound.', null=True),
        ),
        migrations.AddField(
            model_name='tenant',
            name='max_queued',
            field=models.PositiveIntegerField(blank=True, help_text='Runs that may wait to be started; empty: the usual bound.', null=True),
        ),
        migrations.AddField(
            model_name='tenant',
            name='weight',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text="Its share of the workers, against other tenants'."),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(('weight__range', (1, 1000))), name='tenant_weight_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('max_active', 0), _negated=True), models.Q(('max_queued', 0), _negated=True)), name='tenant_bounds_only_above_nothing'),
        ),
    ]

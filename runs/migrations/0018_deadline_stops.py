"""Whether a run's deadline stops while a person must act, and what is left of it then."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0023_who_decides_answers'),
        ('runs', '0017_told_seq'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='deadline_left',
            field=models.DurationField(null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='deadline_stops',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('deadline_at__isnull', True), ('deadline_left__isnull', True), _connector='OR'), name='run_time_left_only_without_deadline'),
        ),
    ]

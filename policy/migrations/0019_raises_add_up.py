"""What one person raises alone counts together: by whom, and in how many hours."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0001_squashed_0018_bulkheads'),
    ]

    operations = [
        migrations.AddField(
            model_name='budgetraise',
            name='raised_by_id',
            field=models.CharField(db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='tenant',
            name='raise_alone_hours',
            field=models.PositiveSmallIntegerField(db_default=24, default=24, help_text='Hours in which all that one person raises alone counts together.'),
        ),
        migrations.AlterField(
            model_name='tenant',
            name='raise_alone_up_to',
            field=models.DecimalField(blank=True, decimal_places=9, help_text='US dollars that one person may raise budgets by alone; empty: any amount.', max_digits=20, null=True),
        ),
        migrations.AddIndex(
            model_name='budgetraise',
            index=models.Index(fields=['tenant', 'raised_by_id', 'created_at'], name='raise_by_whom'),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(('raise_alone_hours__range', (1, 8784))), name='tenant_raise_alone_hours_is_positive'),
        ),
    ]

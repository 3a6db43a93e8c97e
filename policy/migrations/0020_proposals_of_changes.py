"""What is proposed may be another period, or that a budget limits nothing any more."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0019_raises_add_up'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='raiseproposal',
            name='proposal_is_positive',
        ),
        migrations.AddField(
            model_name='raiseproposal',
            name='change',
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AlterField(
            model_name='raiseproposal',
            name='kind',
            field=models.CharField(choices=[('permanent', 'Permanent'), ('once', 'Once'), ('until', 'Until'), ('period', 'Period'), ('lift', 'Lift')], max_length=9),
        ),
        migrations.AddConstraint(
            model_name='raiseproposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount__gt', 0), ('kind__in', ['permanent', 'once', 'until'])), models.Q(models.Q(('kind__in', ['permanent', 'once', 'until']), _negated=True), ('amount', 0)), _connector='OR'), name='proposal_is_positive_iff_raise'),
        ),
    ]

"""Notices tell of budgets, too."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0020_proposals_of_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='notice',
            name='budget_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name='notice',
            name='approval_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name='notice',
            name='run_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('approval_id__isnull', True), ('budget_id__isnull', True), _connector='XOR'), name='notice_is_of_one_thing'),
        ),
    ]

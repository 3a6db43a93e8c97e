"""Agents that are asked about approvals."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0012_notices'),
    ]

    operations = [
        migrations.AlterField(
            model_name='approvaldecision',
            name='action',
            field=models.CharField(choices=[('approve', 'Approve'), ('edit', 'Edit'), ('reject', 'Reject'), ('respond', 'Respond'), ('escalate', 'Escalate'), ('delegate', 'Delegate'), ('defer', 'Defer'), ('comment', 'Comment'), ('claim', 'Claim'), ('release', 'Release'), ('happened', 'Happened'), ('not_happened', 'Not Happened'), ('expire', 'Expire'), ('withdraw', 'Withdraw')], max_length=20),
        ),
    ]

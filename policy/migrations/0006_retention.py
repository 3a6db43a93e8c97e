"""How long a tenant's runs keep their history after they ended."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0005_principal_scopes'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text='Days that an ended run keeps its history; empty: for ever.', null=True),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(('retention_days__isnull', True), ('retention_days__range', (1, 36500)), _connector='OR'), name='tenant_retention_is_days'),
        ),
    ]

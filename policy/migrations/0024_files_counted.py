"""How many bytes the files of a tenant's runs may have."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0023_who_decides_answers'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='max_file_bytes',
            field=models.PositiveBigIntegerField(blank=True, help_text="Bytes that its runs' files may have; empty: no bound.", null=True),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(('max_file_bytes', 0), _negated=True), name='tenant_file_bytes_only_above_nothing'),
        ),
    ]

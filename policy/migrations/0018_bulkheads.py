"""One unit more for limits: calls in flight."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0017_answers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='ratelimit',
            name='unit',
            field=models.CharField(choices=[('calls', 'calls'), ('tokens', 'tokens'), ('in_flight', 'in_flight')], max_length=10),
        ),
    ]


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0016_families'),
    ]

    operations = [
        migrations.AddField(
            model_name='checkpoint',
            name='told_seq',
            field=models.BigIntegerField(null=True),
        ),
    ]

"""How many runs a family has, so that it is bounded as a whole."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0023_who_decides_answers'),
        ('runs', '0001_squashed_0015_rate_since'),
    ]

    operations = [
        migrations.CreateModel(
            name='Family',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('size', models.IntegerField()),
                ('most', models.IntegerField()),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("Family"),
    ]

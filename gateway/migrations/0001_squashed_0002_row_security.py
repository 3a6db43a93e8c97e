"""The tables as the steps up to 0002 left them, which were folded into this one and deleted.

Its name stays: databases that went through those steps have it recorded, too.
"""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('policy', '0001_squashed_0018_bulkheads'),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelEndpoint',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('provider', models.CharField(choices=[('openai', 'OpenAI-compatible'), ('scripted', 'Scripted (no network; demo and tests)')], max_length=20)),
                ('base_url', models.CharField(blank=True, max_length=500)),
                ('secret', models.BinaryField(default=b'')),
                ('timeout_seconds', models.FloatField(default=120)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='endpoint_name_once')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('model_id', models.CharField(help_text="The vendor's name for it.", max_length=200)),
                ('max_tokens', models.PositiveIntegerField(default=4096)),
                ('price_version', models.CharField(max_length=60)),
                ('input_per_million', models.DecimalField(decimal_places=6, max_digits=14)),
                ('output_per_million', models.DecimalField(decimal_places=6, max_digits=14)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='models', to='gateway.modelendpoint')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='model_name_once')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("ModelEndpoint", "Model"),
    ]

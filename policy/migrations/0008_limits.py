"""Rate limits, and the breakers that somebody holds."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0007_drafts'),
    ]

    operations = [
        migrations.CreateModel(
            name='BreakerSwitch',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('dependency', models.CharField(max_length=250)),
                ('position', models.CharField(choices=[('open', 'Open'), ('closed', 'Closed')], max_length=10)),
                ('reason', models.CharField(max_length=500)),
                ('switched_by', models.CharField(max_length=200)),
                ('switched_at', models.DateTimeField()),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'dependency'), name='one_switch_each')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='RateLimit',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('unit', models.CharField(choices=[('calls', 'calls'), ('tokens', 'tokens')], max_length=10)),
                ('amount', models.PositiveBigIntegerField()),
                ('seconds', models.FloatField()),
                ('burst', models.PositiveBigIntegerField(blank=True, null=True)),
                ('per', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                ('where', models.JSONField(blank=True, default=dict)),
                ('enabled', models.BooleanField(default=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='limit_name_once'), models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('seconds__gt', 0)), name='limit_is_positive')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("BreakerSwitch"),
        SecureTables("RateLimit"),
    ]

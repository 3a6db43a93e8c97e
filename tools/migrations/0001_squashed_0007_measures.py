"""The tables as the steps up to 0007 left them, which were folded into this one and deleted.

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
            name='ToolServer',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('url', models.CharField(max_length=500)),
                ('secret', models.BinaryField(default=b'')),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='tool_server_name_once')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='RemoteTool',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('remote_name', models.CharField(max_length=200)),
                ('version', models.CharField(help_text='Digest of what the server declares.', max_length=64)),
                ('description', models.TextField(blank=True)),
                ('input_schema', models.JSONField()),
                ('output_schema', models.JSONField(blank=True, null=True)),
                ('effect', models.CharField(choices=[('read', 'read'), ('idempotent', 'idempotent'), ('once', 'once')], default='once', max_length=20)),
                ('risk', models.CharField(choices=[('low', 'low'), ('medium', 'medium'), ('high', 'high'), ('critical', 'critical')], default='medium', max_length=20)),
                ('timeout_seconds', models.FloatField(default=30)),
                ('enabled', models.BooleanField(default=True)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ('server', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tools', to='tools.toolserver')),
                ('egress', models.BooleanField(default=True, help_text='It sends data out. Assumed until somebody declares otherwise.')),
                ('reversible', models.BooleanField(help_text='What it did can be undone.', null=True)),
                ('reconcile', models.CharField(blank=True, default='', help_text='The read tool of this server that says whether a call of it happened.', max_length=200)),
                ('targets', models.JSONField(blank=True, help_text='Arguments that decide where or to whom; null: as their names suggest.', null=True)),
                ('trusted', models.BooleanField(default=False, help_text='No stranger writes what it gives: a trusted source of values.')),
                ('compensate', models.CharField(blank=True, default='', help_text='The tool that undoes a call of it.', max_length=200)),
                ('measures', models.JSONField(blank=True, db_default={}, default=dict, help_text='Arguments that say how much: money, people, confidence.')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='remote_tool_name_once')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("ToolServer", "RemoteTool"),
    ]

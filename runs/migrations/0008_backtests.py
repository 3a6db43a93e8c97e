"""Backtests: policy versions tried on recorded calls."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0007_drafts'),
        ('runs', '0007_run_migrations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Backtest',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('policy_id', models.UUIDField()),
                ('policy_number', models.PositiveIntegerField()),
                ('revision', models.PositiveIntegerField()),
                ('asked', models.JSONField()),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='queued', max_length=10)),
                ('token', models.PositiveIntegerField(default=0)),
                ('beat_at', models.DateTimeField(null=True)),
                ('nudged_at', models.DateTimeField(null=True)),
                ('runs_judged', models.PositiveIntegerField(default=0)),
                ('runs_total', models.PositiveIntegerField(default=0)),
                ('counts', models.JSONField(null=True)),
                ('differing', models.JSONField(null=True)),
                ('error', models.CharField(blank=True, default='', max_length=500)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.CharField(max_length=200)),
                ('finished_at', models.DateTimeField(null=True)),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'indexes': [models.Index(fields=['tenant', 'policy_id', 'created_at'], name='backtest_of_policy'), models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['nudged_at'], name='backtest_unfinished')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'done', 'failed'])), name='backtest_state_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('counts__isnull', False), ('differing__isnull', False), ('state', 'done')), models.Q(models.Q(('state', 'done'), _negated=True), ('counts__isnull', True)), _connector='OR'), name='backtest_result_iff_done')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("Backtest"),
    ]

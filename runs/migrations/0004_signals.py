"""Signals: what somebody outside tells a run by name."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0004_budget_functions'),
        ('runs', '0003_time_travel'),
    ]

    operations = [
        migrations.CreateModel(
            name='Signal',
            fields=[
                ('pk', models.CompositePrimaryKey('run_id', 'id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('id', models.CharField(max_length=200)),
                ('name', models.CharField(max_length=200)),
                ('payload', models.JSONField(null=True)),
                ('sent_by', models.CharField(max_length=200)),
                ('received_at', models.DateTimeField()),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ('taken_by', models.CharField(blank=True, default='', max_length=300)),
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
        migrations.RemoveConstraint(
            model_name='run',
            name='run_reason_is_known',
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['', 'timer', 'approval', 'outcome_unknown', 'poison', 'version', 'budget', 'signal'])), name='run_reason_is_known'),
        ),
        SecureTables("Signal"),
    ]

"""Subscriptions to what happens to approvals, and the notices that go out to them."""

import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0011_calibrations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), primary_key=True, serialize=False)),
                ('event', models.CharField(max_length=40)),
                ('approval_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('body', models.JSONField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sending', 'Sending'), ('sent', 'Sent'), ('dead', 'Dead')], db_default='waiting', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(db_default=0)),
                ('next_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('nudged_at', models.DateTimeField(null=True)),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('error', models.CharField(blank=True, db_default='', max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('sent_at', models.DateTimeField(null=True)),
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
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('channel', models.CharField(choices=[('webhook', 'Webhook'), ('email', 'Email')], max_length=10)),
                ('url', models.CharField(blank=True, max_length=500)),
                ('addresses', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=254), blank=True, default=list, size=None)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=list, size=None)),
                ('include', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                ('secret', models.BinaryField(default=b'')),
                ('old_secret', models.BinaryField(default=b'')),
                ('old_secret_until', models.DateTimeField(null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('stopped_because', models.CharField(blank=True, default='', max_length=300)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(max_length=200)),
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
        migrations.AddField(
            model_name='approval',
            name='warn_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['warn_at'], name='approval_warn'),
        ),
        migrations.AddField(
            model_name='notice',
            name='tenant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='tenant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant'),
        ),
        migrations.AddField(
            model_name='notice',
            name='subscription',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notices', to='policy.subscription'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.UniqueConstraint(fields=('tenant', 'name'), name='subscription_name_once'),
        ),
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(fields=['tenant', 'state', 'created_at'], name='notices_by_state'),
        ),
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'sending'])), fields=['subscription', 'next_at'], name='notices_unsent'),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'sending', 'sent', 'dead'])), name='notice_state_is_known'),
        ),
        SecureTables("Subscription"),
        SecureTables("Notice"),
    ]

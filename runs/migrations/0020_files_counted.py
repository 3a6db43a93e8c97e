"""What artifacts a tenant has, and what they come to."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
from django.db import migrations, models

from policy.tenancy.security import SecureTables


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0024_files_counted'),
        ('runs', '0019_live_by_end'),
    ]

    operations = [
        migrations.CreateModel(
            name='ArtifactUse',
            fields=[
                ('tenant', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='policy.tenant')),
                ('bytes', models.BigIntegerField(default=0)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.CheckConstraint(condition=models.Q(('bytes__gte', 0)), name='artifact_use_is_no_debt')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='Artifact',
            fields=[
                ('pk', models.CompositePrimaryKey('tenant_id', 'digest', blank=True, editable=False, primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=64)),
                ('size', models.BigIntegerField()),
                ('saved_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'across',
                'default_manager_name': 'objects',
                'constraints': [models.CheckConstraint(condition=models.Q(('size__gte', 0)), name='artifact_size_is_no_debt')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('across', django.db.models.manager.Manager()),
            ],
        ),
        SecureTables("Artifact", "ArtifactUse"),
    ]

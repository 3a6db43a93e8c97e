"""The tables as the steps up to 0015 left them, which were folded into this one and deleted.

Its name stays: databases that went through those steps have it recorded, too.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
import runs.core.admission
import runs.core.lifecycle
from django.conf import settings
from django.db import migrations, models

from policy.tenancy.migrating import CreateModels
from policy.tenancy.security import SecureTables

FORGETTING = """
CREATE FUNCTION runs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('agentops.forgetting', true) = OLD.run_id::text THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER append_only ON runs_checkpoint;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON runs_checkpoint
  FOR EACH ROW EXECUTE FUNCTION runs_refuse_change();
DROP TRIGGER append_only ON runs_runevent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON runs_runevent
  FOR EACH ROW EXECUTE FUNCTION runs_refuse_change();
"""
"""History of ended runs may be removed, by one function and nobody else."""

DROP_FORGETTING = """
DROP TRIGGER append_only ON runs_checkpoint;
DROP TRIGGER append_only ON runs_runevent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON runs_checkpoint
  FOR EACH ROW EXECUTE FUNCTION policy_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON runs_runevent
  FOR EACH ROW EXECUTE FUNCTION policy_refuse_change();
DROP FUNCTION runs_refuse_change();
"""

SHARING = f"""
CREATE UNLOGGED TABLE runs_workerslots (
  worker text PRIMARY KEY, slots int NOT NULL, seen_at timestamptz NOT NULL
);
CREATE UNLOGGED TABLE runs_line (
  tenant_id uuid PRIMARY KEY, begun float8 NOT NULL, done float8 NOT NULL,
  let_in float8 NOT NULL, let_in_at timestamptz NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON runs_workerslots, runs_line FROM "{settings.APP_ROLE}";
"""
"""What is remembered of sharing the workers out: what may be forgotten."""

ROOM_FOR_UPDATES = "ALTER TABLE runs_run SET (fillfactor = 60)"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('policy', '0001_squashed_0018_bulkheads'),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name='Agent',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('name', models.CharField(max_length=200)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='agent_name_once')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='AgentVersion',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('version', models.CharField(max_length=50)),
                    ('kind', models.CharField(choices=[('code', 'Code: a decorated function or graph'), ('compensation', 'Compensation: undoes what a run of the agent did'), ('react', 'React loop: prompt, model and tools, no code')], max_length=15)),
                    ('definition', models.JSONField()),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('agent', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='runs.agent')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('agent', 'version'), name='agent_version_once')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Run',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('agent_name', models.CharField(max_length=200)),
                    ('principal_id', models.UUIDField(null=True)),
                    ('started_by', models.CharField(blank=True, max_length=200)),
                    ('state', models.CharField(default=runs.core.lifecycle.RunState['QUEUED'], max_length=12)),
                    ('reason', models.CharField(blank=True, default='', max_length=20)),
                    ('super_step', models.IntegerField(default=0)),
                    ('open_tasks', models.IntegerField(default=0)),
                    ('wakeups', models.IntegerField(default=0)),
                    ('wakeups_seen', models.IntegerField(default=0)),
                    ('crashes', models.SmallIntegerField(default=0)),
                    ('event_seq', models.BigIntegerField(default=0)),
                    ('fencing_token', models.BigIntegerField(default=0)),
                    ('worker', models.CharField(max_length=100, null=True)),
                    ('lease_expires_at', models.DateTimeField(null=True)),
                    ('due_at', models.DateTimeField(null=True)),
                    ('nudged_at', models.DateTimeField(null=True)),
                    ('deadline_at', models.DateTimeField(null=True)),
                    ('cancel_requested_at', models.DateTimeField(null=True)),
                    ('budget_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                    ('metadata', models.JSONField(default=dict)),
                    ('output', models.JSONField(null=True)),
                    ('error_class', models.CharField(blank=True, default='', max_length=30)),
                    ('error_detail', models.TextField(blank=True, default='')),
                    ('created_at', models.DateTimeField()),
                    ('started_at', models.DateTimeField(null=True)),
                    ('finished_at', models.DateTimeField(null=True)),
                    ('agent_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.agentversion')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('origin_run_id', models.UUIDField(null=True)),
                    ('origin_super_step', models.IntegerField(null=True)),
                    ('ancestor_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), null=True, size=None)),
                    ('join_id', models.UUIDField(null=True)),
                    ('parent_id', models.UUIDField(null=True)),
                    ('history_removed_at', models.DateTimeField(null=True)),
                    ('compensates_id', models.UUIDField(null=True)),
                    ('answers_id', models.UUIDField(null=True)),
                    ('priority', models.CharField(db_default='normal', default=runs.core.admission.Priority['NORMAL'], max_length=10)),
                    ('queue_at', models.DateTimeField(null=True)),
                    ('team_id', models.UUIDField(null=True)),
                    ('thread_id', models.UUIDField(null=True)),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['tenant', 'created_at', 'id'], name='run_by_age'), models.Index(condition=models.Q(('state__in', [runs.core.lifecycle.RunState['CANCELLED'], runs.core.lifecycle.RunState['EXPIRED'], runs.core.lifecycle.RunState['FAILED'], runs.core.lifecycle.RunState['SUCCEEDED']]), _negated=True), fields=['state'], name='run_live'), models.Index(condition=models.Q(('parent_id__isnull', False)), fields=['parent_id'], name='run_of_parent'), models.Index(condition=models.Q(('finished_at__isnull', False), ('history_removed_at__isnull', True)), fields=['tenant', 'finished_at'], name='run_with_history'), models.Index(condition=models.Q(('queue_at__isnull', False)), fields=['tenant', 'queue_at', 'id'], name='run_in_line'), models.Index(condition=models.Q(('queue_at__isnull', True), ('state__in', ['queued', 'running'])), fields=['tenant'], name='run_active'), models.Index(condition=models.Q(('deadline_at__isnull', False), ('finished_at__isnull', True)), fields=['deadline_at'], name='run_with_deadline')],
                    'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'waiting', 'interrupted', 'paused', 'succeeded', 'failed', 'cancelled', 'expired'])), name='run_state_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', [runs.core.lifecycle.RunState['CANCELLED'], runs.core.lifecycle.RunState['EXPIRED'], runs.core.lifecycle.RunState['FAILED'], runs.core.lifecycle.RunState['SUCCEEDED']])), models.Q(models.Q(('state__in', [runs.core.lifecycle.RunState['CANCELLED'], runs.core.lifecycle.RunState['EXPIRED'], runs.core.lifecycle.RunState['FAILED'], runs.core.lifecycle.RunState['SUCCEEDED']]), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='run_finished_iff_final'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', [runs.core.lifecycle.RunState['INTERRUPTED'], runs.core.lifecycle.RunState['PAUSED'], runs.core.lifecycle.RunState['WAITING']]), models.Q(('reason', ''), _negated=True)), models.Q(models.Q(('state__in', [runs.core.lifecycle.RunState['INTERRUPTED'], runs.core.lifecycle.RunState['PAUSED'], runs.core.lifecycle.RunState['WAITING']]), _negated=True), ('reason', '')), _connector='OR'), name='run_held_back_has_reason'), models.CheckConstraint(condition=models.Q(('state', runs.core.lifecycle.RunState['RUNNING']), ('lease_expires_at__isnull', True), _connector='OR'), name='run_lease_only_while_running'), models.CheckConstraint(condition=models.Q(('reason__in', ['', 'timer', 'approval', 'outcome_unknown', 'poison', 'version', 'budget', 'signal', 'children', 'breaker', 'rate_limit'])), name='run_reason_is_known'), models.UniqueConstraint(condition=models.Q(('compensates_id__isnull', False), ('finished_at__isnull', True)), fields=('compensates_id',), name='run_compensated_once_at_a_time'), models.CheckConstraint(condition=models.Q(('state', runs.core.lifecycle.RunState['QUEUED']), ('queue_at__isnull', True), _connector='OR'), name='run_in_line_only_while_queued'), models.CheckConstraint(condition=models.Q(('priority__in', ['high', 'normal', 'low'])), name='run_priority_is_known')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='OutboxMessage',
                fields=[
                    ('id', models.BigAutoField(primary_key=True, serialize=False)),
                    ('super_step', models.IntegerField(null=True)),
                    ('task', models.CharField(blank=True, default='', max_length=200)),
                    ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
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
                name='Effect',
                fields=[
                    ('pk', models.CompositePrimaryKey('run_id', 'super_step', 'task', 'ordinal', blank=True, editable=False, primary_key=True, serialize=False)),
                    ('super_step', models.IntegerField()),
                    ('task', models.CharField(max_length=200)),
                    ('ordinal', models.IntegerField()),
                    ('kind', models.CharField(max_length=10)),
                    ('name', models.CharField(max_length=200)),
                    ('version', models.CharField(blank=True, max_length=100)),
                    ('effect', models.CharField(max_length=12)),
                    ('digest', models.CharField(max_length=64)),
                    ('request', models.JSONField()),
                    ('state', models.CharField(max_length=12)),
                    ('attempt', models.SmallIntegerField(default=1)),
                    ('attempts', models.JSONField(default=list)),
                    ('fencing_token', models.BigIntegerField()),
                    ('decision', models.JSONField(default=dict)),
                    ('approval_id', models.UUIDField(null=True)),
                    ('outcome', models.JSONField(null=True)),
                    ('error_class', models.CharField(blank=True, default='', max_length=30)),
                    ('reserved_cost', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('reserved_tokens', models.BigIntegerField(default=0)),
                    ('cost', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('input_tokens', models.BigIntegerField(default=0)),
                    ('output_tokens', models.BigIntegerField(default=0)),
                    ('price_version', models.CharField(blank=True, default='', max_length=60)),
                    ('claimed_at', models.DateTimeField(null=True)),
                    ('finished_at', models.DateTimeField(null=True)),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                    ('compensates', models.CharField(max_length=300, null=True)),
                    ('estimated', models.BooleanField(db_default=False, default=False)),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [django.contrib.postgres.indexes.BrinIndex(fields=['claimed_at'], name='effect_by_moment')],
                    'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['claimed', 'held', 'retrying', 'unknown', 'done', 'failed'])), name='effect_state_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', ['done', 'failed'])), models.Q(models.Q(('state__in', ['done', 'failed']), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='effect_finished_iff_done_or_failed'), models.UniqueConstraint(condition=models.Q(('compensates__isnull', False), models.Q(models.Q(('state', 'failed'), _negated=True), ('outcome__in_doubt', True), _connector='OR')), fields=('tenant', 'compensates'), name='effect_compensated_once')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Checkpoint',
                fields=[
                    ('pk', models.CompositePrimaryKey('run_id', 'super_step', blank=True, editable=False, primary_key=True, serialize=False)),
                    ('super_step', models.IntegerField()),
                    ('fencing_token', models.BigIntegerField()),
                    ('head', models.JSONField()),
                    ('writes', models.JSONField()),
                    ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
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
                name='RunEvent',
                fields=[
                    ('pk', models.CompositePrimaryKey('run_id', 'seq', blank=True, editable=False, primary_key=True, serialize=False)),
                    ('seq', models.BigIntegerField()),
                    ('type', models.CharField(max_length=60)),
                    ('data', models.JSONField()),
                    ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
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
                name='Task',
                fields=[
                    ('pk', models.CompositePrimaryKey('run_id', 'super_step', 'task', blank=True, editable=False, primary_key=True, serialize=False)),
                    ('super_step', models.IntegerField()),
                    ('task', models.CharField(max_length=200)),
                    ('state', models.CharField(max_length=12)),
                    ('fencing_token', models.BigIntegerField(default=0)),
                    ('worker', models.CharField(max_length=100, null=True)),
                    ('lease_expires_at', models.DateTimeField(null=True)),
                    ('nudged_at', models.DateTimeField(null=True)),
                    ('crashes', models.SmallIntegerField(default=0)),
                    ('result', models.JSONField(null=True)),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(condition=models.Q(('state', 'settled'), _negated=True), fields=['state'], name='task_live')],
                    'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'running', 'settled'])), name='task_state_is_known')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
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
            migrations.CreateModel(
                name='Join',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('total', models.IntegerField()),
                    ('succeeded', models.IntegerField(default=0)),
                    ('failed', models.IntegerField(default=0)),
                    ('want_succeeded', models.IntegerField(null=True)),
                    ('want_failed', models.IntegerField(null=True)),
                    ('is_over', models.BooleanField(default=False)),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(condition=models.Q(('want_succeeded__isnull', False)), fields=['run'], name='join_awaited')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='RunMigration',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('migration', models.UUIDField()),
                    ('super_step', models.IntegerField()),
                    ('appended', models.BooleanField()),
                    ('fencing_token', models.BigIntegerField()),
                    ('by', models.CharField(max_length=300)),
                    ('at', models.DateTimeField()),
                    ('undone_at', models.DateTimeField(null=True)),
                    ('from_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.agentversion')),
                    ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.run')),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('to_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='runs.agentversion')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['migration'], name='run_migration_together'), models.Index(fields=['run', 'super_step'], name='run_migration_of_run')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
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
        ),
        SecureTables(
            "Agent",
            "AgentVersion",
            "Run",
            "Checkpoint",
            "Task",
            "Effect",
            "RunEvent",
            "OutboxMessage",
            "Signal",
            "Join",
            "RunMigration",
            "Backtest",
            append_only=["Checkpoint", "RunEvent"],
        ),
        migrations.RunSQL(FORGETTING, DROP_FORGETTING),
        migrations.RunSQL(SHARING, "DROP TABLE runs_workerslots; DROP TABLE runs_line CASCADE"),
        migrations.RunSQL(ROOM_FOR_UPDATES, migrations.RunSQL.noop),
    ]

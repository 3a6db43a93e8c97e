"""The tables as the steps up to 0018 left them, which were folded into this one and deleted.

Its name stays: databases that went through those steps have it recorded, too.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.manager
import policy.core.money
from django.conf import settings
from django.db import migrations, models

from policy.tenancy.migrating import CreateModels
from policy.tenancy.security import SecureTables

APP = f'"{settings.APP_ROLE}"'

REFUSE = """
CREATE FUNCTION policy_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

RULES = f"""
DROP TRIGGER append_only ON policy_policyrule;
GRANT UPDATE, DELETE ON policy_policyrule TO {APP};
"""
"""Drafts may be edited; `policy/sql/policies.sql` keeps the rules of versions that were in force."""

LOOKUPS = f"""
CREATE FUNCTION policy_lookup_key(key_hash text)
RETURNS TABLE (
  tenant_id uuid, tenant_slug text, principal_id uuid, principal_name text,
  roles text[], is_person boolean, expired boolean, revoked boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT t.id, t.slug::text, p.id, p.name::text, p.roles::text[], p.user_id IS NOT NULL,
         coalesce(k.expires_at <= statement_timestamp(), false), k.revoked_at IS NOT NULL
    FROM policy_apikey k
    JOIN policy_principal p ON p.id = k.principal_id AND p.tenant_id = k.tenant_id
    JOIN policy_tenant t ON t.id = k.tenant_id
   WHERE k.hash = key_hash
$$;

CREATE FUNCTION policy_tenants_of_user(who bigint)
RETURNS TABLE (id uuid, slug text, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT t.id, t.slug::text, t.name::text
    FROM policy_tenant t
    JOIN auth_user u ON u.id = who AND u.is_active
   WHERE u.is_superuser
      OR EXISTS (SELECT FROM policy_principal p WHERE p.tenant_id = t.id AND p.user_id = u.id)
   ORDER BY t.name, t.id
$$;
REVOKE ALL ON FUNCTION policy_lookup_key(text), policy_tenants_of_user(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION policy_lookup_key(text), policy_tenants_of_user(bigint) TO {APP};
"""
"""The two questions that cross tenants: whose key is this, and where may this person work."""

DROP_LOOKUPS = "DROP FUNCTION policy_lookup_key(text), policy_tenants_of_user(bigint)"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(blank=True, max_length=200)),
                ('activated_at', models.DateTimeField(null=True)),
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
            name='Tenant',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('slug', models.SlugField(help_text='Short name in addresses and commands.', unique=True)),
                ('name', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('policy_version', models.ForeignKey(blank=True, editable=False, help_text='The policy in force. Without one everything is denied.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.policyversion')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Days that an ended run keeps its history; empty: for ever.', null=True)),
                ('max_active', models.PositiveIntegerField(blank=True, help_text='Runs that may be worked on at once; empty: no bound.', null=True)),
                ('max_queued', models.PositiveIntegerField(blank=True, help_text='Runs that may wait to be started; empty: the usual bound.', null=True)),
                ('weight', models.PositiveSmallIntegerField(db_default=1, default=1, help_text="Its share of the workers, against other tenants'.")),
                ('raise_alone_up_to', models.DecimalField(blank=True, decimal_places=9, help_text='US dollars that one person may raise a budget by; empty: any amount.', max_digits=20, null=True)),
                ('answers', models.JSONField(blank=True, db_default={}, default=dict, editable=False, help_text='What is done with secrets, links and ids in answers; redact where not said.')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('retention_days__isnull', True), ('retention_days__range', (1, 36500)), _connector='OR'), name='tenant_retention_is_days'), models.CheckConstraint(condition=models.Q(('weight__range', (1, 1000))), name='tenant_weight_is_a_share'), models.CheckConstraint(condition=models.Q(models.Q(('max_active', 0), _negated=True), models.Q(('max_queued', 0), _negated=True)), name='tenant_bounds_only_above_nothing'), models.CheckConstraint(condition=models.Q(('raise_alone_up_to__isnull', True), ('raise_alone_up_to__gte', 0), _connector='OR'), name='tenant_raise_alone_is_not_negative')],
            },
        ),
        migrations.AddField(
            model_name='policyversion',
            name='tenant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant'),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='edited_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='edited_by',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='policyversion',
            name='revision',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(fields=('tenant', 'number'), name='policy_number_once'),
        ),
        CreateModels(
            migrations.CreateModel(
                name='Budget',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('scope', models.CharField(choices=[('run', 'Run'), ('child', 'Child'), ('thread', 'Thread'), ('agent', 'Agent'), ('user', 'User'), ('team', 'Team'), ('tenant', 'Tenant')], max_length=20)),
                    ('scope_id', models.UUIDField()),
                    ('version', models.PositiveIntegerField(default=1)),
                    ('cost_limit', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                    ('cost_spent', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('cost_reserved', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('cost_overdraft', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('tokens_limit', models.BigIntegerField(null=True)),
                    ('tokens_spent', models.BigIntegerField(default=0)),
                    ('tokens_reserved', models.BigIntegerField(default=0)),
                    ('tokens_overdraft', models.BigIntegerField(default=0)),
                    ('model_calls_limit', models.BigIntegerField(null=True)),
                    ('model_calls_spent', models.BigIntegerField(default=0)),
                    ('model_calls_reserved', models.BigIntegerField(default=0)),
                    ('model_calls_overdraft', models.BigIntegerField(default=0)),
                    ('tool_calls_limit', models.BigIntegerField(null=True)),
                    ('tool_calls_spent', models.BigIntegerField(default=0)),
                    ('tool_calls_reserved', models.BigIntegerField(default=0)),
                    ('tool_calls_overdraft', models.BigIntegerField(default=0)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('alerted', models.IntegerField(db_default=0, default=0)),
                    ('cost_lapsed', models.DecimalField(db_default=0, decimal_places=9, default=0, max_digits=20)),
                    ('cost_soft', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                    ('extras', models.JSONField(db_default=[], default=list)),
                    ('model_calls_lapsed', models.BigIntegerField(db_default=0, default=0)),
                    ('model_calls_soft', models.BigIntegerField(null=True)),
                    ('period', models.CharField(choices=[('none', 'none'), ('day', 'day'), ('week', 'week'), ('month', 'month')], db_default='none', default=policy.core.money.Period['NONE'], max_length=5)),
                    ('period_anchor', models.DateTimeField(null=True)),
                    ('period_ends_at', models.DateTimeField(null=True)),
                    ('period_starts_at', models.DateTimeField(null=True)),
                    ('tokens_lapsed', models.BigIntegerField(db_default=0, default=0)),
                    ('tokens_soft', models.BigIntegerField(null=True)),
                    ('tool_calls_lapsed', models.BigIntegerField(db_default=0, default=0)),
                    ('tool_calls_soft', models.BigIntegerField(null=True)),
                    ('turns_at', models.DateTimeField(null=True)),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'scope', 'scope_id'), name='one_budget_per_scope'), models.CheckConstraint(condition=models.Q(('cost_limit__isnull', True), ('cost_limit__gte', django.db.models.expressions.CombinedExpression(models.F('cost_spent'), '+', models.F('cost_reserved'))), _connector='OR'), name='budget_cost_within_limit'), models.CheckConstraint(condition=models.Q(('tokens_limit__isnull', True), ('tokens_limit__gte', django.db.models.expressions.CombinedExpression(models.F('tokens_spent'), '+', models.F('tokens_reserved'))), _connector='OR'), name='budget_tokens_within_limit'), models.CheckConstraint(condition=models.Q(('model_calls_limit__isnull', True), ('model_calls_limit__gte', django.db.models.expressions.CombinedExpression(models.F('model_calls_spent'), '+', models.F('model_calls_reserved'))), _connector='OR'), name='budget_model_calls_within_limit'), models.CheckConstraint(condition=models.Q(('tool_calls_limit__isnull', True), ('tool_calls_limit__gte', django.db.models.expressions.CombinedExpression(models.F('tool_calls_spent'), '+', models.F('tool_calls_reserved'))), _connector='OR'), name='budget_tool_calls_within_limit'), models.CheckConstraint(condition=models.Q(('cost_reserved__gte', 0), ('cost_spent__gte', 0)), name='budget_cost_not_negative'), models.CheckConstraint(condition=models.Q(('tokens_reserved__gte', 0), ('tokens_spent__gte', 0)), name='budget_tokens_not_negative'), models.CheckConstraint(condition=models.Q(('model_calls_reserved__gte', 0), ('model_calls_spent__gte', 0)), name='budget_model_calls_not_negative'), models.CheckConstraint(condition=models.Q(('tool_calls_reserved__gte', 0), ('tool_calls_spent__gte', 0)), name='budget_tool_calls_not_negative'), models.CheckConstraint(condition=models.Q(models.Q(('period', policy.core.money.Period['NONE']), ('period_ends_at__isnull', True), ('period_starts_at__isnull', True)), models.Q(models.Q(('period', policy.core.money.Period['NONE']), _negated=True), ('period_anchor__isnull', False), ('period_ends_at__isnull', False), ('period_starts_at__isnull', False)), _connector='OR'), name='budget_has_dates_iff_period')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='PolicyRule',
                fields=[
                    ('id', models.BigAutoField(primary_key=True, serialize=False)),
                    ('position', models.PositiveIntegerField()),
                    ('priority', models.IntegerField(default=0)),
                    ('name', models.CharField(max_length=100)),
                    ('decision', models.CharField(choices=[('allow', 'allow'), ('deny', 'deny'), ('require_approval', 'require_approval')], max_length=20)),
                    ('tools', models.CharField(default='*', help_text='Pattern, e.g. payments.*', max_length=200)),
                    ('agents', models.CharField(default='*', help_text='Pattern, e.g. refunds*', max_length=200)),
                    ('effects', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                    ('condition', models.TextField(blank=True, help_text='CEL, e.g. args.amount <= 100')),
                    ('reason', models.CharField(blank=True, max_length=500)),
                    ('expires_after', models.DurationField(blank=True, null=True)),
                    ('policy', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='policy.policyversion')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('selectors', models.JSONField(blank=True, default=dict, help_text='What else is asked of a call, see docs/policies.md')),
                    ('approval', models.JSONField(blank=True, db_default={}, default=dict, help_text='Who decides, and what if nobody does.')),
                ],
                options={
                    'ordering': ['-priority', 'position'],
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('policy', 'name'), name='rule_name_once_per_policy'), models.CheckConstraint(condition=models.Q(('decision__in', ['allow', 'deny', 'require_approval'])), name='rule_decision_is_known')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='IdempotentAnswer',
                fields=[
                    ('id', models.BigAutoField(primary_key=True, serialize=False)),
                    ('route', models.CharField(max_length=100)),
                    ('key', models.CharField(max_length=255)),
                    ('digest', models.CharField(max_length=64)),
                    ('status', models.PositiveSmallIntegerField()),
                    ('body', models.JSONField(null=True)),
                    ('headers', models.JSONField(default=dict)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'route', 'key'), name='one_answer_per_idempotency_key')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='BudgetRaise',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('unit', models.CharField(choices=[('cost', 'cost'), ('tokens', 'tokens'), ('model_calls', 'model_calls'), ('tool_calls', 'tool_calls')], max_length=20)),
                    ('amount', models.DecimalField(decimal_places=9, max_digits=20)),
                    ('raised_by', models.CharField(max_length=200)),
                    ('reason', models.CharField(max_length=500)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='raises', to='policy.budget')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('confirmed_by', models.CharField(db_default='', default='', max_length=200)),
                    ('kind', models.CharField(choices=[('permanent', 'Permanent'), ('once', 'Once'), ('until', 'Until')], db_default='permanent', default='permanent', max_length=9)),
                    ('until', models.DateTimeField(null=True)),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='raise_is_positive'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'until'), ('until__isnull', False)), models.Q(models.Q(('kind', 'until'), _negated=True), ('until__isnull', True)), _connector='OR'), name='raise_has_date_iff_until')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='AuditEvent',
                fields=[
                    ('id', models.BigAutoField(primary_key=True, serialize=False)),
                    ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('actor', models.CharField(max_length=200)),
                    ('action', models.CharField(max_length=100)),
                    ('subject', models.CharField(max_length=300)),
                    ('detail', models.JSONField(default=dict)),
                    ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['tenant', 'subject'], name='audit_by_subject')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Approval',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('kind', models.CharField(choices=[('tool_call', 'Tool Call'), ('outcome_unknown', 'Outcome Unknown'), ('guard', 'Guard')], max_length=20)),
                    ('state', models.CharField(choices=[('open', 'Open'), ('approved', 'Approved'), ('rejected', 'Rejected'), ('responded', 'Responded'), ('happened', 'Happened'), ('not_happened', 'Not Happened'), ('expired', 'Expired'), ('withdrawn', 'Withdrawn')], default='open', max_length=20)),
                    ('version', models.PositiveIntegerField(default=1)),
                    ('run_id', models.UUIDField()),
                    ('effect_key', models.CharField(max_length=300)),
                    ('agent', models.CharField(max_length=200)),
                    ('tool', models.CharField(max_length=200)),
                    ('tool_version', models.CharField(max_length=100)),
                    ('arguments', models.JSONField()),
                    ('digest', models.CharField(max_length=64)),
                    ('policy_version', models.CharField(blank=True, max_length=40)),
                    ('rule', models.CharField(blank=True, max_length=100)),
                    ('reason', models.CharField(blank=True, max_length=500)),
                    ('created_at', models.DateTimeField()),
                    ('expires_at', models.DateTimeField()),
                    ('decided_at', models.DateTimeField(null=True)),
                    ('decided_by', models.CharField(blank=True, max_length=200)),
                    ('decision_reason', models.TextField(blank=True)),
                    ('result', models.JSONField(null=True)),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('claimed_by', models.CharField(blank=True, db_default='', max_length=200)),
                    ('claimed_name', models.CharField(blank=True, db_default='', max_length=200)),
                    ('claimed_until', models.DateTimeField(null=True)),
                    ('deferred_until', models.DateTimeField(null=True)),
                    ('delegate_run_id', models.UUIDField(null=True)),
                    ('edited_by', models.CharField(blank=True, db_default='', max_length=200)),
                    ('escalated_at', models.DateTimeField(null=True)),
                    ('extended', models.BooleanField(db_default=False)),
                    ('groups', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), db_default=[], default=list, size=None)),
                    ('next_at', models.DateTimeField(null=True)),
                    ('owners', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), db_default=[], default=list, size=None)),
                    ('proposed', models.JSONField(null=True)),
                    ('risk', models.CharField(blank=True, db_default='', max_length=20)),
                    ('rung', models.PositiveSmallIntegerField(db_default=0)),
                    ('signals', models.JSONField(db_default={}, default=dict)),
                    ('started_by', models.CharField(blank=True, db_default='', max_length=200)),
                    ('terms', models.JSONField(db_default={}, default=dict)),
                    ('triggers', models.JSONField(db_default=[], default=list)),
                    ('warn_at', models.DateTimeField(null=True)),
                    ('corrections', models.JSONField(db_default={}, default=dict)),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['tenant', 'state', 'created_at'], name='approval_queue'), models.Index(fields=['run_id'], name='approval_of_run'), models.Index(condition=models.Q(('state', 'open')), fields=['expires_at'], name='approval_due'), models.Index(condition=models.Q(('state', 'open')), fields=['next_at'], name='approval_next'), models.Index(condition=models.Q(('delegate_run_id__isnull', False), ('state', 'open')), fields=['delegate_run_id'], name='approval_delegated'), models.Index(fields=['tenant', 'tool', 'agent', 'decided_at'], name='approval_past'), models.Index(condition=models.Q(('state', 'open')), fields=['warn_at'], name='approval_warn')],
                    'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('tenant', 'effect_key'), name='one_open_approval_per_effect'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='approval_decided_iff_not_open'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'approved', 'rejected', 'responded', 'happened', 'not_happened', 'expired', 'withdrawn'])), name='approval_state_is_known')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
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
                    ('unit', models.CharField(choices=[('calls', 'calls'), ('tokens', 'tokens'), ('in_flight', 'in_flight')], max_length=10)),
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
            migrations.CreateModel(
                name='ApprovalDecision',
                fields=[
                    ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), primary_key=True, serialize=False)),
                    ('action', models.CharField(choices=[('approve', 'Approve'), ('edit', 'Edit'), ('reject', 'Reject'), ('respond', 'Respond'), ('escalate', 'Escalate'), ('delegate', 'Delegate'), ('defer', 'Defer'), ('comment', 'Comment'), ('claim', 'Claim'), ('release', 'Release'), ('happened', 'Happened'), ('not_happened', 'Not Happened'), ('expire', 'Expire'), ('withdraw', 'Withdraw')], max_length=20)),
                    ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('by', models.CharField(max_length=200)),
                    ('name', models.CharField(max_length=200)),
                    ('reason', models.TextField(blank=True, db_default='')),
                    ('digest', models.CharField(max_length=64)),
                    ('version', models.PositiveIntegerField()),
                    ('is_final', models.BooleanField(db_default=False)),
                    ('detail', models.JSONField(db_default={}, default=dict)),
                    ('approval', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='policy.approval')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['approval', 'at'], name='decisions_of_approval')],
                    'constraints': [models.UniqueConstraint(condition=models.Q(('is_final', True)), fields=('approval',), name='one_final_decision_per_approval')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Calibration',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('agent', models.CharField(max_length=200)),
                    ('tool', models.CharField(max_length=200)),
                    ('kind', models.CharField(choices=[('confidence', 'confidence'), ('unusual', 'unusual')], max_length=20)),
                    ('learnt', models.JSONField()),
                    ('misses', models.JSONField()),
                    ('created_by', models.CharField(max_length=200)),
                    ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['tenant', 'agent', 'tool', 'kind'], name='calibration_newest')],
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
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='subscription_name_once')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
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
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notices', to='policy.subscription')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'indexes': [models.Index(fields=['tenant', 'state', 'created_at'], name='notices_by_state'), models.Index(condition=models.Q(('state__in', ['waiting', 'sending'])), fields=['subscription', 'next_at'], name='notices_unsent')],
                    'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'sending', 'sent', 'dead'])), name='notice_state_is_known')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='BudgetPeriod',
                fields=[
                    ('cost_limit', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                    ('cost_spent', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('cost_reserved', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('cost_overdraft', models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                    ('tokens_limit', models.BigIntegerField(null=True)),
                    ('tokens_spent', models.BigIntegerField(default=0)),
                    ('tokens_reserved', models.BigIntegerField(default=0)),
                    ('tokens_overdraft', models.BigIntegerField(default=0)),
                    ('model_calls_limit', models.BigIntegerField(null=True)),
                    ('model_calls_spent', models.BigIntegerField(default=0)),
                    ('model_calls_reserved', models.BigIntegerField(default=0)),
                    ('model_calls_overdraft', models.BigIntegerField(default=0)),
                    ('tool_calls_limit', models.BigIntegerField(null=True)),
                    ('tool_calls_spent', models.BigIntegerField(default=0)),
                    ('tool_calls_reserved', models.BigIntegerField(default=0)),
                    ('tool_calls_overdraft', models.BigIntegerField(default=0)),
                    ('id', models.BigAutoField(primary_key=True, serialize=False)),
                    ('starts_at', models.DateTimeField()),
                    ('ends_at', models.DateTimeField()),
                    ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='periods', to='policy.budget')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('budget', 'ends_at'), name='one_row_per_closed_period'), models.CheckConstraint(condition=models.Q(('cost_limit__isnull', True), ('cost_limit__gte', django.db.models.expressions.CombinedExpression(models.F('cost_spent'), '+', models.F('cost_reserved'))), _connector='OR'), name='period_cost_within_limit'), models.CheckConstraint(condition=models.Q(('tokens_limit__isnull', True), ('tokens_limit__gte', django.db.models.expressions.CombinedExpression(models.F('tokens_spent'), '+', models.F('tokens_reserved'))), _connector='OR'), name='period_tokens_within_limit'), models.CheckConstraint(condition=models.Q(('model_calls_limit__isnull', True), ('model_calls_limit__gte', django.db.models.expressions.CombinedExpression(models.F('model_calls_spent'), '+', models.F('model_calls_reserved'))), _connector='OR'), name='period_model_calls_within_limit'), models.CheckConstraint(condition=models.Q(('tool_calls_limit__isnull', True), ('tool_calls_limit__gte', django.db.models.expressions.CombinedExpression(models.F('tool_calls_spent'), '+', models.F('tool_calls_reserved'))), _connector='OR'), name='period_tool_calls_within_limit'), models.CheckConstraint(condition=models.Q(('cost_reserved__gte', 0), ('cost_spent__gte', 0)), name='period_cost_not_negative'), models.CheckConstraint(condition=models.Q(('tokens_reserved__gte', 0), ('tokens_spent__gte', 0)), name='period_tokens_not_negative'), models.CheckConstraint(condition=models.Q(('model_calls_reserved__gte', 0), ('model_calls_spent__gte', 0)), name='period_model_calls_not_negative'), models.CheckConstraint(condition=models.Q(('tool_calls_reserved__gte', 0), ('tool_calls_spent__gte', 0)), name='period_tool_calls_not_negative')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='RaiseProposal',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('state', models.CharField(choices=[('open', 'Open'), ('confirmed', 'Confirmed'), ('declined', 'Declined')], default='open', max_length=9)),
                    ('unit', models.CharField(choices=[('cost', 'cost'), ('tokens', 'tokens'), ('model_calls', 'model_calls'), ('tool_calls', 'tool_calls')], max_length=20)),
                    ('amount', models.DecimalField(decimal_places=9, max_digits=20)),
                    ('kind', models.CharField(choices=[('permanent', 'Permanent'), ('once', 'Once'), ('until', 'Until')], max_length=9)),
                    ('until', models.DateTimeField(null=True)),
                    ('reason', models.CharField(max_length=500)),
                    ('proposed_by', models.CharField(max_length=200)),
                    ('proposed_by_id', models.CharField(max_length=200)),
                    ('decided_by', models.CharField(blank=True, default='', max_length=200)),
                    ('decided_at', models.DateTimeField(null=True)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='policy.budget')),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='proposal_is_positive'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='proposal_decided_iff_not_open')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Team',
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
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='team_name_once')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='Principal',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('name', models.CharField(max_length=200)),
                    ('roles', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('viewer', 'Viewer: sees everything, content masked'), ('reviewer', 'Reviewer: decides approvals'), ('finance', 'Finance: raises budgets'), ('operator', 'Operator: starts, cancels and resumes runs'), ('admin', 'Tenant admin: keys, agents, policies')], max_length=20), default=list, size=None)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ('tenant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='policy.tenant')),
                    ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='What data its runs may touch, in words that rules ask for, like crm:read.', size=None)),
                    ('decides_up_to', models.CharField(choices=[('low', 'low'), ('medium', 'medium'), ('high', 'high'), ('critical', 'critical')], db_default='critical', default='critical', help_text='The highest risk of a call that this reviewer may decide.', max_length=20)),
                    ('groups', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, db_default=[], default=list, help_text='Reviewer groups, as rules of a policy name them.', size=None)),
                    ('team', models.ForeignKey(blank=True, help_text='Whose budget the runs count for that it starts from now on.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='principals', to='policy.team')),
                ],
                options={
                    'abstract': False,
                    'base_manager_name': 'across',
                    'default_manager_name': 'objects',
                    'constraints': [models.UniqueConstraint(fields=('tenant', 'user'), name='one_principal_per_user')],
                },
                managers=[
                    ('objects', django.db.models.manager.Manager()),
                    ('across', django.db.models.manager.Manager()),
                ],
            ),
            migrations.CreateModel(
                name='ApiKey',
                fields=[
                    ('id', models.UUIDField(primary_key=True, serialize=False)),
                    ('prefix', models.CharField(help_text='The visible first part.', max_length=24)),
                    ('hash', models.CharField(editable=False, max_length=64, unique=True)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('expires_at', models.DateTimeField(blank=True, null=True)),
                    ('revoked_at', models.DateTimeField(blank=True, null=True)),
                    ('principal', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='policy.principal')),
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
        ),
        migrations.RunSQL(REFUSE, "DROP FUNCTION policy_refuse_change()"),
        SecureTables("Tenant", column="id"),
        SecureTables(
            "Principal",
            "ApiKey",
            "IdempotentAnswer",
            "PolicyVersion",
            "PolicyRule",
            "Approval",
            "ApprovalDecision",
            "Calibration",
            "Budget",
            "BudgetPeriod",
            "BudgetRaise",
            "RaiseProposal",
            "Team",
            "AuditEvent",
            "BreakerSwitch",
            "RateLimit",
            "Subscription",
            "Notice",
            append_only=["AuditEvent", "BudgetRaise", "PolicyRule", "ApprovalDecision", "Calibration"],
        ),
        migrations.RunSQL(RULES, migrations.RunSQL.noop),
        migrations.RunSQL(LOOKUPS, DROP_LOOKUPS),
    ]

"""Lines in which runs wait to be started, and what is remembered of sharing the workers out.

The two tables hold what may be forgotten: the server empties them when it crashes, and they fill
again. The application's role reaches them through the functions of `runs/sql` only.
"""

import runs.core.admission
import runs.core.lifecycle
from django.conf import settings
from django.db import migrations, models

TABLES = f"""
CREATE UNLOGGED TABLE runs_workerslots (
  worker text PRIMARY KEY, slots int NOT NULL, seen_at timestamptz NOT NULL
);
CREATE UNLOGGED TABLE runs_line (
  tenant_id uuid PRIMARY KEY, begun float8 NOT NULL, done float8 NOT NULL,
  let_in float8 NOT NULL, let_in_at timestamptz NOT NULL
);
REVOKE ALL ON runs_workerslots, runs_line FROM "{settings.APP_ROLE}";
"""


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0014_tenant_shares'),
        ('runs', '0011_asked_agents'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='priority',
            field=models.CharField(db_default='normal', default=runs.core.admission.Priority['NORMAL'], max_length=10),
        ),
        migrations.AddField(
            model_name='run',
            name='queue_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('queue_at__isnull', False)), fields=['tenant', 'queue_at', 'id'], name='run_in_line'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('queue_at__isnull', True), ('state__in', ['queued', 'running'])), fields=['tenant'], name='run_active'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('deadline_at__isnull', False), ('finished_at__isnull', True)), fields=['deadline_at'], name='run_with_deadline'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('state', runs.core.lifecycle.RunState['QUEUED']), ('queue_at__isnull', True), _connector='OR'), name='run_in_line_only_while_queued'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('priority__in', ['high', 'normal', 'low'])), name='run_priority_is_known'),
        ),
        migrations.RunSQL(TABLES, "DROP TABLE runs_workerslots; DROP TABLE runs_line CASCADE"),
    ]

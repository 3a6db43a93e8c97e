"""The constraints of rows that are written all the time: their words are one constant.

What is there already is looked through by the next migration, which locks out nobody.
"""

import runs.core.lifecycle
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0024_files_counted'),
        ('runs', '0020_files_counted'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='effect',
            name='effect_state_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='effect',
            name='effect_finished_iff_done_or_failed',
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_state_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_finished_iff_final',
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_held_back_has_reason',
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_reason_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='run',
            name='run_priority_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='task',
            name='task_state_is_known',
        ),
        AddConstraintNotValid(
            model_name='effect',
            constraint=models.CheckConstraint(condition=models.Q(('state__one_of', ['claimed', 'held', 'retrying', 'unknown', 'done', 'failed'])), name='effect_state_is_known'),
        ),
        AddConstraintNotValid(
            model_name='effect',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__one_of', ['done', 'failed'])), models.Q(models.Q(('state__one_of', ['done', 'failed']), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='effect_finished_iff_done_or_failed'),
        ),
        AddConstraintNotValid(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('state__one_of', ['queued', 'running', 'waiting', 'interrupted', 'paused', 'succeeded', 'failed', 'cancelled', 'expired'])), name='run_state_is_known'),
        ),
        AddConstraintNotValid(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('reason__one_of', ['', 'timer', 'approval', 'outcome_unknown', 'poison', 'version', 'budget', 'signal', 'children', 'breaker', 'rate_limit'])), name='run_reason_is_known'),
        ),
        AddConstraintNotValid(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__one_of', [runs.core.lifecycle.RunState['CANCELLED'], runs.core.lifecycle.RunState['EXPIRED'], runs.core.lifecycle.RunState['FAILED'], runs.core.lifecycle.RunState['SUCCEEDED']])), models.Q(models.Q(('state__one_of', [runs.core.lifecycle.RunState['CANCELLED'], runs.core.lifecycle.RunState['EXPIRED'], runs.core.lifecycle.RunState['FAILED'], runs.core.lifecycle.RunState['SUCCEEDED']]), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='run_finished_iff_final'),
        ),
        AddConstraintNotValid(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__one_of', [runs.core.lifecycle.RunState['INTERRUPTED'], runs.core.lifecycle.RunState['PAUSED'], runs.core.lifecycle.RunState['WAITING']]), models.Q(('reason', ''), _negated=True)), models.Q(models.Q(('state__one_of', [runs.core.lifecycle.RunState['INTERRUPTED'], runs.core.lifecycle.RunState['PAUSED'], runs.core.lifecycle.RunState['WAITING']]), _negated=True), ('reason', '')), _connector='OR'), name='run_held_back_has_reason'),
        ),
        AddConstraintNotValid(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('priority__one_of', ['high', 'normal', 'low'])), name='run_priority_is_known'),
        ),
        AddConstraintNotValid(
            model_name='task',
            constraint=models.CheckConstraint(condition=models.Q(('state__one_of', ['pending', 'running', 'settled'])), name='task_state_is_known'),
        ),
    ]

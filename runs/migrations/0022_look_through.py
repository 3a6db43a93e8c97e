"""Look through what was there before its constraints, while everybody goes on working."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('runs', '0021_constant_arrays'),
    ]

    operations = [
        ValidateConstraint(model_name='effect', name='effect_state_is_known'),
        ValidateConstraint(model_name='effect', name='effect_finished_iff_done_or_failed'),
        ValidateConstraint(model_name='run', name='run_state_is_known'),
        ValidateConstraint(model_name='run', name='run_reason_is_known'),
        ValidateConstraint(model_name='run', name='run_finished_iff_final'),
        ValidateConstraint(model_name='run', name='run_held_back_has_reason'),
        ValidateConstraint(model_name='run', name='run_priority_is_known'),
        ValidateConstraint(model_name='task', name='task_state_is_known'),
    ]

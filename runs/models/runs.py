"""A run's rows: the run, its checkpoints, tasks, effects, events and unsent messages.

Lifecycle columns are written by the SQL functions of `runs/sql` only, each guarded by
the lease's fencing token. Big values stay out of the run row, because it is rewritten
at every super-step: the input is checkpoint 0's.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from policy.models.base import TenantRow
from runs.core.admission import Priority
from runs.core.lifecycle import FINAL, HELD_BACK, Reason, RunState
from runs.models import lookups  # noqa: F401 - `one_of`
from runs.models.agents import AgentVersion

FINAL_STATES = sorted(FINAL)
EFFECT_STATES = ["claimed", "held", "retrying", "unknown", "done", "failed"]
ACTIVE = (RunState.QUEUED.value, RunState.RUNNING.value)


class Run(TenantRow):
    """One durable execution of an agent version.

    While it is queued, `queue_at` says where in its tenant's line it stands; NULL: it was
    admitted, and holds a seat (`runs/sql/9_admission.sql`). Where its deadline stops while a
    person must act, `deadline_left` keeps what is left meanwhile, and `deadline_at` is NULL.
    """

    id = models.UUIDField(primary_key=True)
    agent_version = models.ForeignKey(AgentVersion, on_delete=models.PROTECT, related_name="+")
    agent_name = models.CharField(max_length=200)
    principal_id = models.UUIDField(null=True)
    team_id = models.UUIDField(null=True)
    thread_id = models.UUIDField(null=True)
    started_by = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=12, default=RunState.QUEUED)
    priority = models.CharField(
        max_length=10, default=Priority.NORMAL, db_default=Priority.NORMAL.value
    )
    queue_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=20, blank=True, default="")
    super_step = models.IntegerField(default=0)
    open_tasks = models.IntegerField(default=0)
    wakeups = models.IntegerField(default=0)
    wakeups_seen = models.IntegerField(default=0)
    crashes = models.SmallIntegerField(default=0)
    event_seq = models.BigIntegerField(default=0)
    fencing_token = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=100, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    deadline_left = models.DurationField(null=True)
    deadline_stops = models.BooleanField(default=False, db_default=False)
    cancel_requested_at = models.DateTimeField(null=True)
    budget_ids = ArrayField(models.UUIDField(), default=list)
    parent_id = models.UUIDField(null=True)
    ancestor_ids = ArrayField(models.UUIDField(), null=True)
    join_id = models.UUIDField(null=True)
    metadata = models.JSONField(default=dict)
    origin_run_id = models.UUIDField(null=True)
    origin_super_step = models.IntegerField(null=True)
    compensates_id = models.UUIDField(null=True)
    answers_id = models.UUIDField(null=True)
    output = models.JSONField(null=True)
    error_class = models.CharField(max_length=30, blank=True, default="")
    error_detail = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    history_removed_at = models.DateTimeField(null=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="run_state_is_known", condition=Q(state__one_of=[s.value for s in RunState])
            ),
            models.CheckConstraint(
                name="run_reason_is_known", condition=Q(reason__one_of=[r.value for r in Reason])
            ),
            models.CheckConstraint(
                name="run_finished_iff_final",
                condition=Q(state__one_of=FINAL_STATES, finished_at__isnull=False)
                | (~Q(state__one_of=FINAL_STATES) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="run_held_back_has_reason",
                condition=Q(state__one_of=sorted(HELD_BACK)) & ~Q(reason="")
                | (~Q(state__one_of=sorted(HELD_BACK)) & Q(reason="")),
            ),
            models.CheckConstraint(
                name="run_lease_only_while_running",
                condition=Q(state=RunState.RUNNING) | Q(lease_expires_at__isnull=True),
            ),
            models.CheckConstraint(
                name="run_in_line_only_while_queued",
                condition=Q(state=RunState.QUEUED) | Q(queue_at__isnull=True),
            ),
            models.CheckConstraint(
                name="run_time_left_only_without_deadline",
                condition=Q(deadline_at__isnull=True) | Q(deadline_left__isnull=True),
            ),
            models.CheckConstraint(
                name="run_priority_is_known",
                condition=Q(priority__one_of=[p.value for p in Priority]),
            ),
            models.UniqueConstraint(
                fields=["compensates_id"],
                condition=Q(compensates_id__isnull=False, finished_at__isnull=True),
                name="run_compensated_once_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "created_at", "id"], name="run_by_age"),
            # By `finished_at`, so that a look for a run by its id and state never seems to be
            # quicker through all that run: the planner cannot tell that it is the same.
            models.Index(fields=["state"], name="run_live", condition=Q(finished_at__isnull=True)),
            models.Index(
                fields=["tenant", "queue_at", "id"],
                name="run_in_line",
                condition=Q(queue_at__isnull=False),
            ),
            models.Index(
                fields=["tenant"],
                name="run_active",
                condition=Q(queue_at__isnull=True, state__in=[*ACTIVE]),
            ),
            models.Index(
                fields=["deadline_at"],
                name="run_with_deadline",
                condition=Q(deadline_at__isnull=False, finished_at__isnull=True),
            ),
            models.Index(
                fields=["tenant", "finished_at"],
                name="run_with_history",
                condition=Q(finished_at__isnull=False, history_removed_at__isnull=True),
            ),
            models.Index(
                fields=["parent_id"], name="run_of_parent", condition=Q(parent_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_name} {self.id}"


class HotRow(TenantRow):
    """A row that only the SQL functions insert, after they locked its run.

    The foreign keys are declared for readers but not checked again at every insert:
    the lock on the run row in the same statement says more than they would.
    """

    tenant = models.ForeignKey(
        "policy.Tenant",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    class Meta(TenantRow.Meta):
        abstract = True


class Checkpoint(HotRow):
    """A run's whole state after a super-step, as what changed in it. Append-only.

    `head` is the checkpoint without values: channel versions, log lengths, next tasks.
    `writes` holds the channels that this super-step wrote, and only those. `told_seq` is the
    number of the event `super_step.committed`, which has no row of its own: `runs_events` tells
    it from this one. NULL where a checkpoint began, or was appended by a person's act.
    """

    pk = models.CompositePrimaryKey("run_id", "super_step")
    super_step = models.IntegerField()
    fencing_token = models.BigIntegerField()
    head = models.JSONField()
    writes = models.JSONField()
    at = models.DateTimeField(db_default=Now())
    told_seq = models.BigIntegerField(null=True)


class Task(HotRow):
    """A task of a super-step that could not be finished in one go with its run.

    Fanned-out tasks have their own lease and token; a lone task has a row only when it
    is held, delayed or tried again.
    """

    pk = models.CompositePrimaryKey("run_id", "super_step", "task")
    super_step = models.IntegerField()
    task = models.CharField(max_length=200)
    state = models.CharField(max_length=12)
    fencing_token = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=100, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True)
    crashes = models.SmallIntegerField(default=0)
    result = models.JSONField(null=True)

    class Meta(HotRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="task_state_is_known",
                condition=Q(state__one_of=["pending", "running", "settled"]),
            ),
        ]
        indexes = [
            models.Index(fields=["state"], name="task_live", condition=Q(result__isnull=True)),
        ]


class Effect(HotRow):
    """The ledger: one model or tool call, under a key derived from its place in the run.

    Written as claimed before the call is sent, as done or failed after it. `compensates` is the
    key of the effect that this call undoes; one that failed without a doubt undid nothing.
    `estimated` says that at least one attempt was booked at an estimate, not at a bill.
    `claimed_at` names the periods in which its money is set aside.
    """

    pk = models.CompositePrimaryKey("run_id", "super_step", "task", "ordinal")
    super_step = models.IntegerField()
    task = models.CharField(max_length=200)
    ordinal = models.IntegerField()
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=100, blank=True)
    effect = models.CharField(max_length=12)
    digest = models.CharField(max_length=64)
    request = models.JSONField()
    state = models.CharField(max_length=12)
    attempt = models.SmallIntegerField(default=1)
    attempts = models.JSONField(default=list)
    fencing_token = models.BigIntegerField()
    decision = models.JSONField(default=dict)
    approval_id = models.UUIDField(null=True)
    compensates = models.CharField(max_length=300, null=True)
    outcome = models.JSONField(null=True)
    error_class = models.CharField(max_length=30, blank=True, default="")
    reserved_cost = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    reserved_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=9, default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    price_version = models.CharField(max_length=60, blank=True, default="")
    estimated = models.BooleanField(default=False, db_default=False)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(HotRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="effect_state_is_known",
                condition=Q(state__one_of=EFFECT_STATES),
            ),
            models.CheckConstraint(
                name="effect_finished_iff_done_or_failed",
                condition=Q(state__one_of=["done", "failed"], finished_at__isnull=False)
                | (~Q(state__one_of=["done", "failed"]) & Q(finished_at__isnull=True)),
            ),
            models.UniqueConstraint(
                fields=["tenant", "compensates"],
                condition=Q(compensates__isnull=False)
                & (~Q(state="failed") | Q(outcome__in_doubt=True)),
                name="effect_compensated_once",
            ),
        ]
        indexes = [BrinIndex(fields=["claimed_at"], name="effect_by_moment")]


class RunEvent(HotRow):
    """What happened to a run, in one gap-free sequence with what its checkpoints tell."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    seq = models.BigIntegerField()
    type = models.CharField(max_length=60)
    data = models.JSONField()
    at = models.DateTimeField(db_default=Now())


class Join(HotRow):
    """What a run waits for of the children it spawned at one place.

    `succeeded` and `failed` are counted by the children as they end. The wants are set while
    the parent waits; it may be claimed once one of them is reached or every child has ended.
    `is_over` says that the join was decided: children that are still at work are called off.
    """

    id = models.UUIDField(primary_key=True)
    total = models.IntegerField()
    succeeded = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    want_succeeded = models.IntegerField(null=True)
    want_failed = models.IntegerField(null=True)
    is_over = models.BooleanField(default=False)

    class Meta(HotRow.Meta):
        indexes = [
            models.Index(
                fields=["run"], name="join_awaited", condition=Q(want_succeeded__isnull=False)
            ),
        ]


class Family(TenantRow):
    """How many runs descend from a run that nobody spawned, whose id it has, and how many may.

    Those that were called off count, too. A row of its own: who spawns locks no other run.
    """

    id = models.UUIDField(primary_key=True)
    size = models.IntegerField()
    most = models.IntegerField()


class OutboxMessage(HotRow):
    """A nudge that leaves only if its transaction does. Sent at least once, then removed."""

    id = models.BigAutoField(primary_key=True)
    super_step = models.IntegerField(null=True)
    task = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

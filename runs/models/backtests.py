"""Backtests: what a policy version would have made of recorded calls."""

from __future__ import annotations

from django.db import models

from policy.models.base import TenantRow


class BacktestState(models.TextChoices):
    """Where a backtest stands. Only a done one has a result."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Backtest(TenantRow):
    """A policy version, as of a revision, tried on the calls of some runs.

    `asked` says which runs: `{"runs": 1000}`, or `since` and `until`. The result is written
    once, whole, by the attempt that holds `token`.
    """

    id = models.UUIDField(primary_key=True)
    policy_id = models.UUIDField()
    policy_number = models.PositiveIntegerField()
    revision = models.PositiveIntegerField()
    asked = models.JSONField()
    state = models.CharField(
        max_length=10, choices=BacktestState.choices, default=BacktestState.QUEUED
    )
    token = models.PositiveIntegerField(default=0)
    beat_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True)
    runs_judged = models.PositiveIntegerField(default=0)
    runs_total = models.PositiveIntegerField(default=0)
    counts = models.JSONField(null=True)
    differing = models.JSONField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.CheckConstraint(
                name="backtest_state_is_known",
                condition=models.Q(state__in=BacktestState.values),
            ),
            models.CheckConstraint(
                name="backtest_result_iff_done",
                condition=models.Q(state="done", counts__isnull=False, differing__isnull=False)
                | (~models.Q(state="done") & models.Q(counts__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "policy_id", "created_at"], name="backtest_of_policy"),
            models.Index(
                fields=["nudged_at"],
                name="backtest_unfinished",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"backtest of policy {self.policy_number}"

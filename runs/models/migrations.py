"""What became of a run when it was taken over to another version of its agent."""

from __future__ import annotations

from django.db import models

from runs.models.agents import AgentVersion
from runs.models.runs import HotRow


class RunMigration(HotRow):
    """One run's change of version; those made together have one `migration`.

    `super_step` is where the run stood afterwards, `fencing_token` the newest then: a run that
    was claimed since has another. `appended` says that a checkpoint was made for it.
    """

    id = models.UUIDField(primary_key=True)
    migration = models.UUIDField()
    from_version = models.ForeignKey(AgentVersion, on_delete=models.PROTECT, related_name="+")
    to_version = models.ForeignKey(AgentVersion, on_delete=models.PROTECT, related_name="+")
    super_step = models.IntegerField()
    appended = models.BooleanField()
    fencing_token = models.BigIntegerField()
    by = models.CharField(max_length=300)
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta(HotRow.Meta):
        indexes = [
            models.Index(fields=["migration"], name="run_migration_together"),
            models.Index(fields=["run", "super_step"], name="run_migration_of_run"),
        ]

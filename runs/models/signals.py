"""What somebody outside tells a run by name."""

from __future__ import annotations

from django.db import models

from runs.models.runs import HotRow


class Signal(HotRow):
    """A signal, kept until a task of its run waits for one of its name.

    Its `id` is the sender's: the same id is the same signal. `taken_by` names the place in
    the run that took it, empty while nobody has.
    """

    pk = models.CompositePrimaryKey("run_id", "id")
    id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    payload = models.JSONField(null=True)
    sent_by = models.CharField(max_length=200)
    received_at = models.DateTimeField()
    taken_by = models.CharField(max_length=300, blank=True, default="")

"""Agents and their immutable versions. A run keeps the version it was started with."""

from __future__ import annotations

from django.db import models

from policy.models.base import TenantRow


class Agent(TenantRow):
    """An agent of a tenant, under one name."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="agent_name_once")]

    def __str__(self) -> str:
        return self.name


class AgentKind(models.TextChoices):
    """Where an agent version's behaviour is written down."""

    CODE = "code", "Code: a decorated function or graph"
    COMPENSATION = "compensation", "Compensation: undoes what a run of the agent did"
    REACT = "react", "React loop: prompt, model and tools, no code"


class AgentVersion(TenantRow):
    """What an agent is, as of one version. Never edited; a change is a new version.

    `definition` for kind react: prompt, model, tools, autonomy, max_super_steps, max_repeats,
    on_exhausted, deadline_stops_for_people. For kind code: what of it is declared, and the digest
    of its graph, so that code that changed under a version is noticed.
    """

    id = models.UUIDField(primary_key=True)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=50)
    kind = models.CharField(max_length=15, choices=AgentKind.choices)
    definition = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["agent", "version"], name="agent_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.agent} {self.version}"

"""Django's entry to the composition root, which has commands but no rows."""

from django.apps import AppConfig


class AgentOpsConfig(AppConfig):
    name = "agentops"

"""Django's entry to the composition root, which has commands but no rows."""

from django.apps import AppConfig


class AgentOpsConfig(AppConfig):
    name = "agentops"

    def ready(self) -> None:
        """Set logging up before anything logs."""
        from agentops.telemetry import configure  # noqa: PLC0415 - settings are ready only now

        configure()

"""Django's entry to the composition root, which has commands but no rows."""

from django.apps import AppConfig


class AgentOpsConfig(AppConfig):
    name = "agentops"

    def ready(self) -> None:
        """Set logging up, and make our Celery application the one that sends."""
        from agentops.celery import app  # noqa: PLC0415 - settings are ready only now
        from agentops.telemetry import configure  # noqa: PLC0415

        configure()
        app.set_default()

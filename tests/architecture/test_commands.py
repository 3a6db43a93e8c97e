"""The operator's commands start at once; what Django would check before each is checked here."""

from __future__ import annotations

import pytest
from django.core.checks import Tags
from django.core.management import call_command, get_commands, load_command_class

OURS = ("agentops", "runs", "tools", "gateway", "policy")
COMMANDS = sorted((str(app), name) for name, app in get_commands().items() if app in OURS)


@pytest.mark.parametrize(("app", "name"), COMMANDS, ids=lambda part: part)
def test_a_command_does_not_import_every_page_first(app: str, name: str) -> None:
    assert set(load_command_class(app, name).requires_system_checks) <= {Tags.database}


def test_django_finds_nothing_wrong_with_pages_models_and_settings() -> None:
    call_command("check", fail_level="WARNING")

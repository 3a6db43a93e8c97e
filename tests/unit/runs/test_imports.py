"""An author's tests need no settings, no servers, no Django."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
WITHOUT = {"DJANGO_SETTINGS_MODULE", "AGENTOPS_SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
CODE = """
import runs.agents, runs.testing, tools.registry
from django.conf import settings
assert not settings.configured
import sys
assert "django.db.models" not in sys.modules, "models need settings"
"""


def test_agents_and_their_tests_are_imported_without_settings() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in WITHOUT}

    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", CODE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr

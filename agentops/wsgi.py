"""A synchronous web server's entry point."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")

application = get_wsgi_application()

from runs.agents.versions import load_code  # noqa: E402 - once Django is set up

load_code()  # reviewers are told what the tools of code are, and edits are checked by their schemas

"""The Celery application: it carries nudges, and nothing depends on it for truth.

A lost, doubled or late message changes nothing (docs/adr/0001), so messages are
acknowledged early, never retried, and have no result.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")

app = Celery("agentops")
app.config_from_object("agentops.celeryconfig")
app.autodiscover_tasks(["runs"])

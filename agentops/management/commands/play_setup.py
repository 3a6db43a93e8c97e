"""`manage.py play_setup`: what `play` runs to prepare the product. Not meant to be typed."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from agentops.play.prepare import prepare
from agentops.play.setup import Wanted


class Command(BaseCommand):
    """Read what is wanted as JSON, make it, and print the API key as JSON."""

    help = "Prepare the product for a play (used by `manage.py play`)."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Prepare; the last line is one JSON object."""
        wanted = Wanted(**json.load(sys.stdin))
        self.stdout.write(json.dumps({"api_key": prepare(wanted)}))

"""`manage.py doctor`: look at everything the product needs, and say how to cure what is ill.

Looks at the servers of the environment, or at those of the session that `make up` keeps
running. Exit codes: 0 all is well; 1 at least one check failed; 2 there is nothing to look at.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.dev.checks import CHECKS, look
from agentops.dev.record import adopt_environment

FAILED: Final = 1
NOTHING_THERE: Final = 2


class Command(BaseCommand):
    """Check database, Redis, clocks, migrations, workers, sweeper, artifacts and secret key."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
        parser.add_argument("--only", choices=sorted(CHECKS), default="", help="one check")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look, print, and end with the exit code.

        Raises:
            CommandError: no server is known.
        """
        adopt_environment()
        if not os.environ.get("DATABASE_URL"):
            raise CommandError(
                "nothing to look at: no session runs (`make up`), and DATABASE_URL is not set",
                returncode=NOTHING_THERE,
            )
        found = look(options["only"])
        healthy = all(check.is_good for check in found)
        if options["json"]:
            told = [
                {"name": c.name, "ok": c.is_good, "detail": c.detail, "cure": c.cure} for c in found
            ]
            self.stdout.write(json.dumps({"ok": healthy, "checks": told}))
        else:
            for check in found:
                mark = self.style.SUCCESS(" ok ") if check.is_good else self.style.ERROR("FAIL")
                self.stdout.write(f"{mark}  {check.name:<12}{check.detail}")
                if check.cure:
                    self.stdout.write(f"      {'':<12}cure: {check.cure}")
        if not healthy:
            sys.exit(FAILED)

"""Print a one-time sign-in link of a user: `manage.py signin demo-reviewer`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.signin import make_link


class Command(BaseCommand):
    """`manage.py signin USERNAME`, for development."""

    help = "Print a one-time sign-in link (development only)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare whose link it is."""
        parser.add_argument("username")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the path.

        Raises:
            CommandError: there is no such user, or this is no development server.
        """
        if not settings.DEBUG:
            raise CommandError("sign-in links work only with AGENTOPS_DEBUG=1")
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['username']!r}")
        self.stdout.write(make_link(user))

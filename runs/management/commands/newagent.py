"""`manage.py newagent NAME`: an agent that works, with a tool, a policy and a test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

TEMPLATES: Final = Path(__file__).resolve().parent.parent / "newagent"
NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
TAKEN: Final = frozenset({"agent", "tools", "agents", "test_agent"})

NEXT: Final = """
  test it      python -m pytest {folder}
  allow it     the default policy, which a tenant begins with, lets it read; or
               python manage.py policy apply {folder}/policy.yaml --tenant demo
               (this puts its rules in force instead of those there are; join them if you need both)
  start it     curl http://127.0.0.1:8000/api/v1/runs -H "Authorization: Bearer $KEY" \\
                 -H "Content-Type: application/json" -H "Idempotency-Key: $(uuidgen)" \\
                 -d '{{"agent": "{name}", "input": {{"question": "When are you open?"}}}}'
               (`python manage.py status` shows the address and the key)
"""


class Command(BaseCommand):
    """Write a new agent's folder."""

    help = "Write a working agent, with a tool, a policy and a test, into the folder of agents."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name, and a folder other than the usual one."""
        parser.add_argument("name", help="lower-case letters, digits and _, like order_desk")
        parser.add_argument("--folder", type=Path, help="where agents are; see AGENTOPS_AGENTS")

    def handle(self, *_: Any, name: str, folder: Path | None, **__: Any) -> None:
        """Write the files, and say what can be done next.

        Raises:
            CommandError: the name cannot be used, or something is already there.
        """
        _check(name)
        place = (folder or _usual()) / name
        if place.exists() or place.with_suffix(".py").exists():
            raise CommandError(f"{place} is already there; choose another name")
        try:
            place.mkdir(parents=True)
            for template in sorted(TEMPLATES.glob("*.txt")):
                text = Template(template.read_text("utf-8")).substitute(name=name)
                (place / template.stem).write_text(text, "utf-8")
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        shown = _shown(place)
        self.stdout.write(f"{shown}/ has agent.py, tools.py, policy.yaml and test_agent.py\n")
        self.stdout.write(NEXT.format(name=name, folder=shown))


def _check(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise CommandError(
            f"{name!r} cannot name an agent: 2 to 40 lower-case letters, digits and _, "
            "beginning with a letter"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in TAKEN:
        raise CommandError(f"{name!r} means something else already; choose another name")


def _usual() -> Path:
    if not settings.AGENT_PATHS:
        raise CommandError("no folder of agents is configured: set AGENTOPS_AGENTS=agents")
    return Path(settings.BASE_DIR, settings.AGENT_PATHS[0])


def _shown(place: Path) -> str:
    """Show a path as it is written from here, where it lies below."""
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)

"""Give a tenant an agent that needs no code: `manage.py agent add desk FILE --tenant acme`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from policy import tenancy
from policy.queries import tenant_by_slug
from runs.agents.versions import add_react_version

BOUNDS = {"max_super_steps", "max_repeats", "max_tokens"}
KNOWN = {"prompt", "model", "tools"} | BOUNDS


class Command(BaseCommand):
    """`manage.py agent add NAME FILE --tenant SLUG --version VERSION`."""

    help = "Add a version of a react agent: a YAML file with prompt, model, tools and bounds."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="add a version; it never changes again")
        add.add_argument("name")
        add.add_argument("file", type=Path, help="YAML: prompt, model, tools, max_super_steps")
        add.add_argument("--tenant", required=True, help="the tenant's slug")
        add.add_argument("--as-version", required=True, help="e.g. 1")

    def handle(self, *_: Any, **options: Any) -> None:
        """Add the version.

        Raises:
            CommandError: no such tenant, a file that cannot be used, or a version that is there.
        """
        tenant = tenant_by_slug(options["tenant"])
        if tenant is None:
            raise CommandError(
                f"there is no tenant {options['tenant']!r}; `manage.py tenant list` shows them"
            )
        definition = read(options["file"])
        try:
            with tenancy.scope(tenant.id):
                add_react_version(options["name"], options["as_version"], definition)
        except IntegrityError:
            raise CommandError(
                f"{options['name']} {options['as_version']} is there already, and versions never "
                "change; choose another --as-version"
            ) from None
        self.stdout.write(f"agent {options['name']} {options['as_version']} is ready")


def read(file: Path) -> dict[str, Any]:
    """Read and check a definition.

    Raises:
        CommandError: it cannot be used; the message says what is wrong with it.
    """
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{file}: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("model"), str):
        raise CommandError(f"{file}: give an object with at least `model: <name of a model>`")
    if unknown := sorted(set(map(str, found)) - KNOWN):
        raise CommandError(
            f"{file}: unknown {', '.join(unknown)}; known: {', '.join(sorted(KNOWN))}"
        )
    tools = found.get("tools", [])
    if not isinstance(tools, list) or not all(isinstance(tool, str) for tool in tools):
        raise CommandError(f"{file}: `tools` is a list of names or patterns")
    for name in BOUNDS & found.keys():
        if not isinstance(found[name], int) or isinstance(found[name], bool) or found[name] < 1:
            raise CommandError(f"{file}: `{name}` is a whole number of at least 1")
    return found

"""Agents without code, and whether today's code can run what waits: `manage.py agent check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from policy import tenancy
from policy.core.actor import command
from policy.core.call import Autonomy
from policy.management.tenants import all_tenants, named_tenant
from runs.agents.program import OnExhausted
from runs.agents.versions import add_react_version
from runs.operations.check_versions import Checked, resume_returned, stranded_and_not

OPERATOR = command("agent")
BOUNDS = {"max_super_steps", "max_repeats", "max_tokens"}
DECLARED = {"on_exhausted", "deadline_stops_for_people"}
KNOWN = {"prompt", "model", "tools", "autonomy"} | DECLARED | BOUNDS


class Command(BaseCommand):
    """`manage.py agent add NAME FILE --tenant SLUG --version VERSION`."""

    help = (
        "Add a version of a react agent: a YAML file with prompt, model, tools, autonomy, bounds."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="add a version; it never changes again")
        add.add_argument("name")
        add.add_argument("file", type=Path, help="YAML: prompt, model, tools, max_super_steps")
        add.add_argument("--tenant", required=True, help="the tenant's slug")
        add.add_argument("--as-version", required=True, help="e.g. 1")
        check = verbs.add_parser("check", help="exit 1 where runs wait that it cannot run")
        check.add_argument("--tenant", default="", help="only this tenant, by its slug")
        check.add_argument(
            "--resume", action="store_true", help="let parked runs go on whose version is back"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what the verb says.

        Raises:
            CommandError: no such tenant, a file that cannot be used, or a version that is there.
        """
        if options["verb"] == "check":
            self._check(options["tenant"], resume=options["resume"])
        else:
            self._add(options)

    def _add(self, options: dict[str, Any]) -> None:
        tenant = named_tenant(options["tenant"])
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

    def _check(self, slug: str, *, resume: bool) -> None:
        """Say of each version that runs wait under whether this code can run it."""
        tenants = [named_tenant(slug)] if slug else all_tenants()
        lines: list[dict[str, Any]] = []
        resumed = 0
        for tenant in tenants:
            with tenancy.scope(tenant.id):
                found = stranded_and_not()
                resumed += resume_returned(found, by=OPERATOR) if resume else 0
            lines += [_told(tenant.slug, one) for one in found]
        for line in lines:
            mark = "no " if line["why"] else "ok "
            self.stdout.write(
                f"{mark} {line['tenant']}  {line['agent']} {line['version']}  {line['runs']} runs "
                f"({', '.join(f'{n} {s}' for s, n in line['states'].items())})"
            )
            if line["why"]:
                self.stdout.write(f"     {line['why']}")
        stranded = [line for line in lines if line["why"]]
        last = {
            "runs": sum(line["runs"] for line in lines),
            "stranded": sum(line["runs"] for line in stranded),
            "resumed": resumed,
            "versions": stranded,
        }
        self.stdout.write(json.dumps(last))
        if stranded:
            sys.exit(1)


def _told(slug: str, one: Checked) -> dict[str, Any]:
    seen = one.version
    return {
        "tenant": slug,
        "agent": seen.agent,
        "version": seen.version,
        "runs": seen.runs,
        "states": seen.states,
        "why": one.why,
    }


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
    if found.get("autonomy", Autonomy.ACT) not in list(Autonomy):
        raise CommandError(f"{file}: `autonomy` is one of {', '.join(Autonomy)}")
    _check_declared(file, found)
    for name in BOUNDS & found.keys():
        if not isinstance(found[name], int) or isinstance(found[name], bool) or found[name] < 1:
            raise CommandError(f"{file}: `{name}` is a whole number of at least 1")
    return found


def _check_declared(file: Path, found: Mapping[str, Any]) -> None:
    if found.get("on_exhausted", "pause") not in get_args(OnExhausted):
        raise CommandError(f"{file}: `on_exhausted` is {' or '.join(get_args(OnExhausted))}")
    if not isinstance(found.get("deadline_stops_for_people", False), bool):
        raise CommandError(f"{file}: `deadline_stops_for_people` is true or false")

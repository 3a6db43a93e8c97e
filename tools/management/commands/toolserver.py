"""Give a tenant the tools of an MCP server: `manage.py toolserver add crm URL --tenant acme`."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import tenancy
from policy.core.actor import command
from policy.core.rules.decide import EffectClass, Risk
from policy.management.tenants import named_tenant
from tools.errors import ToolsError
from tools.models import RemoteTool
from tools.operations.declare import declare
from tools.operations.discover import discover
from tools.operations.register_server import register_server

OPERATOR = command("toolserver")


class Command(BaseCommand):
    """`manage.py toolserver add`, `declare` and `list`."""

    help = "Register an MCP server's tools in a tenant, say what they do, or list them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs. A server's token is read from the environment, not typed."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="register a server and discover its tools")
        add.add_argument("name", help="its tools are called NAME.<tool>")
        add.add_argument("url", help="its MCP address, e.g. http://127.0.0.1:9000/mcp")
        add.add_argument("--token-from", default="", metavar="VARIABLE")
        say = verbs.add_parser("declare", help="say what a tool does to the world")
        say.add_argument("tool", help="as `list` shows it")
        say.add_argument("--effect", choices=[e.value for e in EffectClass])
        say.add_argument("--risk", choices=[r.value for r in Risk])
        say.add_argument("--timeout", type=float, help="seconds")
        say.add_argument("--egress", choices=["yes", "no"], help="does it send data out?")
        say.add_argument("--targets", nargs="*", help="arguments that decide where or to whom")
        say.add_argument("--trusted", choices=["yes", "no"], help="does no stranger write it?")
        say.add_argument("--reversible", choices=["yes", "no"], help="can it be undone?")
        say.add_argument(
            "--reconcile", metavar="TOOL", help="its read tool that says what happened"
        )
        say.add_argument("--compensate", metavar="TOOL", help="the tool that undoes it")
        say.add_argument(
            "--retry", type=json.loads, metavar="JSON", help='{"max_attempts": 6, "base": 2, ...}'
        )
        say.add_argument("--price", metavar="AMOUNT", help="US dollars that a call costs")
        listed = verbs.add_parser("list", help="list a tenant's remote tools")
        for verb in (add, say, listed):
            verb.add_argument("--tenant", required=True, help="the tenant's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what the verb says.

        Raises:
            CommandError: no such tenant, no token, or a server or tool that cannot be used.
        """
        tenant = named_tenant(options["tenant"])
        try:
            getattr(self, f"_{options['verb']}")(tenant.id, options)
        except ToolsError as error:
            raise CommandError(str(error)) from error

    def _add(self, tenant_id: UUID, options: dict[str, Any]) -> None:
        variable = options["token_from"]
        token = os.environ.get(variable, "") if variable else ""
        if variable and not token:
            raise CommandError(f"put the server's token into {variable} first")
        with tenancy.scope(tenant_id):
            server = register_server(options["name"], options["url"], token, by=OPERATOR)
        found = discover(server, tenant_id=tenant_id, by=OPERATOR)
        for name in found.tools:
            self.stdout.write(name)
        for name, why in found.refused.items():
            self.stderr.write(f"{name} cannot be used: {why}")
        self.stdout.write(
            f"{len(found.tools)} tools, each counted as `once` until `toolserver declare` says "
            "better, and granted to no agent yet"
        )

    def _declare(self, tenant_id: UUID, options: dict[str, Any]) -> None:
        with tenancy.scope(tenant_id):
            declare(
                options["tool"],
                effect=options["effect"],
                risk=options["risk"],
                timeout=options["timeout"],
                reconcile=options["reconcile"],
                compensate=options["compensate"],
                price=options["price"],
                by=OPERATOR,
                egress=_yes(options["egress"]),
                targets=options["targets"],
                trusted=_yes(options["trusted"]),
                reversible=_yes(options["reversible"]),
                retry=options["retry"],
            )
        self.stdout.write(f"{options['tool']} is declared")

    def _list(self, tenant_id: UUID, _: dict[str, Any]) -> None:
        with tenancy.scope(tenant_id):
            for tool in RemoteTool.objects.order_by("name"):
                sends = "  egress" if tool.egress else ""
                costs = f"  {tool.price.normalize():f} USD a call" if tool.price else ""
                self.stdout.write(f"{tool.name}  {tool.effect}  risk {tool.risk}{sends}{costs}")


def _yes(answer: str | None) -> bool | None:
    return None if answer is None else answer == "yes"

"""Check, apply and show policies: `manage.py policy apply policy.yaml --tenant acme`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import documents, tenancy
from policy.core.actor import command
from policy.errors import InvalidPolicy
from policy.management.tenants import named_tenant
from policy.models import PolicyRule, PolicyVersion, Tenant
from policy.operations.policies import activate, create_version
from policy.queries import TenantName
from policy.trials import tried

OPERATOR = command("policy")


class Command(BaseCommand):
    """`manage.py policy check FILE`, `test FILE`, `apply FILE --tenant SLUG`, `show`."""

    help = "Check a policy document, put it in force in a tenant, or show what is in force."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="say whether a document can be used")
        check.add_argument("file", type=Path)
        test = verbs.add_parser("test", help="judge the calls of a file of tests, and compare")
        test.add_argument("file", type=Path)
        apply = verbs.add_parser("apply", help="store a document and put it in force")
        apply.add_argument("file", type=Path, help="a YAML file, or `default`: the one shipped")
        apply.add_argument("--tenant", required=True, help="the tenant's slug")
        apply.add_argument("--note", default="", help="why, for those who read the versions")
        apply.add_argument("--draft", action="store_true", help="store it, not in force yet")
        show = verbs.add_parser("show", help="show the rules in force, in the order asked")
        show.add_argument("--tenant", required=True, help="the tenant's slug")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: the file, the document or the tenant cannot be used.
        """
        match options["verb"]:
            case "check":
                rules = len(documents.read(self._read(options["file"])).rules)
                self.stdout.write(f"{options['file']}: {rules} rules, all usable")
            case "test":
                self._test(options["file"])
            case "apply":
                self._apply(**options)
            case _:
                self._show(named_tenant(options["tenant"]))

    def execute(self, *args: Any, **options: Any) -> Any:
        """Report an unusable document as a message, with its place."""
        try:
            return super().execute(*args, **options)
        except InvalidPolicy as error:
            place = f"{error.pointer}: " if error.pointer else ""
            raise CommandError(f"{options.get('file', 'policy')}: {place}{error.detail}") from error

    def _test(self, file: Path) -> None:
        found = tried(file)
        wrong = [one for one in found if not one.passed]
        for one in wrong:
            verdict = one.explanation.verdict
            self.stderr.write(f"{one.name}: expected {one.expected}, got {verdict.decision}")
            self.stderr.write(f"  {verdict.reason}")
            for finding in one.explanation.clauses:
                self.stderr.write(f"  {finding.clause}: wants {finding.wants}, is {finding.seen}")
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(found)} tests failed")
        self.stdout.write(f"{len(found)} tests passed")

    def _apply(self, *, file: Path, tenant: str, note: str, draft: bool, **_: Any) -> None:
        source = self._read(file)
        with tenancy.scope(named_tenant(tenant).id):
            version_id = create_version(source, note=note, by=OPERATOR)
            if not draft:
                activate(version_id, by=OPERATOR)
            number = PolicyVersion.objects.get(pk=version_id).number
        state = "stored as a draft" if draft else "in force"
        self.stdout.write(f"policy {number} of {tenant} is {state}")

    def _show(self, tenant: TenantName) -> None:
        with tenancy.scope(tenant.id):
            version_id = Tenant.objects.get(pk=tenant.id).policy_version_id
            if version_id is None:
                self.stdout.write(f"{tenant.slug} has no policy in force: everything is denied")
                return
            version = PolicyVersion.objects.get(pk=version_id)
            self.stdout.write(f"policy {version.number} of {tenant.slug} ({version.note or '-'})")
            for rule in version.rules.all():
                self.stdout.write(_line(rule))
            if version.answers:
                self.stdout.write(f"  answers that are held: {json.dumps(version.answers)}")
        self.stdout.write("  what no rule allows is denied")

    def _read(self, file: Path) -> bytes:
        shipped = documents.SHIPPED / "default.yaml"
        try:
            return (shipped if str(file) == "default" else file).read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error


def _line(rule: PolicyRule) -> str:
    parts = [f"  {rule.priority:>4}  {rule.decision:<17} {rule.tools}"]
    parts += [f"agents {rule.agents}"] if rule.agents != "*" else []
    parts += [f"effects {', '.join(rule.effects)}"] if rule.effects else []
    parts += [f"when {rule.condition}"] if rule.condition else []
    return "  ".join([*parts, f"({rule.name})"])

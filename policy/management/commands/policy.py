"""Check, apply and show policies: `manage.py policy apply policy.yaml --tenant acme`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from policy import documents, tenancy
from policy.core.actor import Actor
from policy.errors import InvalidPolicy
from policy.models import PolicyRule, PolicyVersion, Tenant
from policy.operations.policies import activate, create_version

OPERATOR = Actor(principal_id="", name="manage.py policy", kind="system", roles=("admin",))


class Command(BaseCommand):
    """`manage.py policy check FILE`, `policy apply FILE --tenant SLUG`, `policy show`."""

    help = "Check a policy document, put it in force in a tenant, or show what is in force."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="say whether a document can be used")
        check.add_argument("file", type=Path)
        apply = verbs.add_parser("apply", help="store a document and put it in force")
        apply.add_argument("file", type=Path)
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
            case "apply":
                self._apply(**options)
            case _:
                self._show(self._tenant(options["tenant"]))

    def execute(self, *args: Any, **options: Any) -> Any:
        """Report an unusable document as a message, with its place."""
        try:
            return super().execute(*args, **options)
        except InvalidPolicy as error:
            place = f"{error.pointer}: " if error.pointer else ""
            raise CommandError(f"{options.get('file', 'policy')}: {place}{error.detail}") from error

    def _apply(self, *, file: Path, tenant: str, note: str, draft: bool, **_: Any) -> None:
        source = self._read(file)
        with tenancy.scope(self._tenant(tenant).id):
            version_id = create_version(source, note=note, by=OPERATOR)
            if not draft:
                activate(version_id, by=OPERATOR)
            number = PolicyVersion.objects.get(pk=version_id).number
        state = "stored as a draft" if draft else "in force"
        self.stdout.write(f"policy {number} of {tenant} is {state}")

    def _show(self, tenant: Tenant) -> None:
        if tenant.policy_version_id is None:
            self.stdout.write(f"{tenant.slug} has no policy in force: everything is denied")
            return
        with tenancy.scope(tenant.id):
            version = PolicyVersion.objects.get(pk=tenant.policy_version_id)
            self.stdout.write(f"policy {version.number} of {tenant.slug} ({version.note or '-'})")
            for rule in version.rules.all():
                self.stdout.write(_line(rule))
        self.stdout.write("  what no rule allows is denied")

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error

    def _tenant(self, slug: str) -> Tenant:
        try:
            return Tenant.objects.get(slug=slug)
        except Tenant.DoesNotExist:
            raise CommandError(
                f"there is no tenant {slug!r}; see `manage.py tenant list`"
            ) from None


def _line(rule: PolicyRule) -> str:
    parts = [f"  {rule.priority:>4}  {rule.decision:<17} {rule.tools}"]
    parts += [f"agents {rule.agents}"] if rule.agents != "*" else []
    parts += [f"effects {', '.join(rule.effects)}"] if rule.effects else []
    parts += [f"when {rule.condition}"] if rule.condition else []
    return "  ".join([*parts, f"({rule.name})"])

"""Create, set and show tenants: `manage.py tenant set acme --retention-days 90 --budget 500`."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from policy import tenancy
from policy.core.actor import command
from policy.errors import PolicyError
from policy.management.tenants import named_tenant
from policy.models import Budget, BudgetScope, Tenant
from policy.operations.create_tenant import DEFAULT_POLICY, create_tenant
from policy.operations.set_tenant import (
    UNBOUNDED,
    Shares,
    set_answers,
    set_file_quota,
    set_raise_alone,
    set_raise_hours,
    set_retention,
    set_shares,
)
from policy.provenance.answers import KINDS, Mode
from runs.errors import RunsError
from runs.operations.bound_tenant import bound_tenant
from runs.queries.lines import LineView, line

OPERATOR: Final = command("tenant")
FOR_EVER: Final = 0
SHARES: Final = ("weight", "max_active", "max_queued")


class Command(BaseCommand):
    """`manage.py tenant create|set|show SLUG` and `manage.py tenant list`."""

    help = "Create a tenant, say what holds for it, show it, or list them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="create a tenant")
        create.add_argument("slug", help="lower-case letters, digits and hyphens")
        create.add_argument("--name", default="", help="as people read it (default: the slug)")
        create.add_argument(
            "--no-policy",
            action="store_true",
            help="deny everything until a policy is applied; else the default one is in force",
        )
        change = verbs.add_parser("set", help="say what holds for a tenant, and show it")
        change.add_argument(
            "--retention-days",
            type=_days,
            metavar="N",
            help="days that ended runs keep their history, or `forever`",
        )
        change.add_argument(
            "--budget",
            type=_amount,
            metavar="AMOUNT",
            help="US dollars that all its runs may spend; counts for runs started from then on",
        )
        change.add_argument(
            "--raise-alone-up-to",
            metavar="AMOUNT",
            help="US dollars by which one person may raise budgets, or `any`; more needs two",
        )
        change.add_argument(
            "--raise-alone-hours",
            type=_whole,
            metavar="N",
            help="hours in which all that one person raises counts together (default: 24)",
        )
        change.add_argument(
            "--answers",
            action="append",
            metavar="KIND=MODE",
            help="what is done with secrets, links, ids in answers: redact, ask, withhold, report",
        )
        change.add_argument(
            "--max-file-bytes",
            type=_bound,
            metavar="N",
            help="bytes that its runs' files may have, or `none`",
        )
        _offer_shares(change)
        show = verbs.add_parser("show", help="show what holds for a tenant")
        for verb in (change, show):
            verb.add_argument("slug", help="the tenant's slug")
        verbs.add_parser("list", help="list the tenants")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: there is no such tenant, or what was given cannot be used.
        """
        try:
            getattr(self, f"_{options['verb']}")(options)
        except (PolicyError, RunsError) as error:
            raise CommandError(str(error)) from error

    def _list(self, _: dict[str, Any]) -> None:
        for tenant in Tenant.objects.order_by("slug"):
            self.stdout.write(f"{tenant.id}  {tenant.slug}  {tenant.name}")

    def _create(self, options: dict[str, Any]) -> None:
        slug, policy = options["slug"], None if options["no_policy"] else DEFAULT_POLICY
        made = create_tenant(slug, options["name"] or slug, policy=policy, by=OPERATOR)
        self.stdout.write(str(made))

    def _set(self, options: dict[str, Any]) -> None:
        days, budget = options["retention_days"], options["budget"]
        alone, hours = options["raise_alone_up_to"], options["raise_alone_hours"]
        answers, most = options["answers"], options["max_file_bytes"]
        shares = Shares(**{name: options[name] for name in SHARES})
        given = (days, budget, alone, hours, answers, most, shares)
        if all(one in (None, [], Shares()) for one in given):
            raise CommandError("say what is to hold; `manage.py tenant set --help` lists it")
        with tenancy.scope(named_tenant(options["slug"]).id):
            if days is not None:
                set_retention(None if days == FOR_EVER else days, by=OPERATOR)
            if budget is not None:
                self._bound(budget)
            if alone is not None:
                set_raise_alone(None if alone == "any" else _amount_of(alone), by=OPERATOR)
            if hours is not None:
                set_raise_hours(hours, by=OPERATOR)
            if answers:
                set_answers(dict(one.partition("=")[::2] for one in answers), by=OPERATOR)
            _set_bounds(shares, most)
        self._show(options)

    def _bound(self, limit: Decimal) -> None:
        proposal = bound_tenant(limit, by=OPERATOR, now=timezone.now())
        if proposal is not None:
            self.stdout.write("proposed: it is raised when somebody with the role finance confirms")

    def _show(self, options: dict[str, Any]) -> None:
        tenant_id = named_tenant(options["slug"]).id
        with tenancy.scope(tenant_id):
            tenant = Tenant.objects.get(pk=tenant_id)
            budget, stands = _budget(), line()
        days = tenant.retention_days
        kept = "for ever" if days is None else f"{days} days after a run ended"
        self.stdout.write(f"{tenant.slug} ({tenant.name})  {tenant.id}")
        self.stdout.write(f"history is kept  {kept}")
        self.stdout.write(f"budget           {_said(budget)}")
        alone = tenant.raise_alone_up_to
        hours = tenant.raise_alone_hours
        most = "any amount" if alone is None else f"up to {alone:f} USD in {hours} hours"
        self.stdout.write(f"one may raise    {most}")
        done = {kind: tenant.answers.get(kind, Mode.REDACT) for kind in KINDS}
        said = ", ".join(f"{kind}: {mode}" for kind, mode in done.items())
        self.stdout.write(f"in answers       {said}")
        for said in _runs_said(stands):
            self.stdout.write(said)


def _set_bounds(shares: Shares, file_bytes: int | None) -> None:
    if file_bytes is not None:
        set_file_quota(None if file_bytes == UNBOUNDED else file_bytes, by=OPERATOR)
    if shares != Shares():
        set_shares(shares, by=OPERATOR)


def _offer_shares(verb: CommandParser) -> None:
    verb.add_argument(
        "--weight", type=_whole, metavar="N", help="its share of the workers, against others'"
    )
    for name, what in (("active", "be worked on at once"), ("queued", "wait to be started")):
        verb.add_argument(
            f"--max-{name}",
            type=_bound,
            metavar="N",
            help=f"runs that may {what}, or `none` for no bound of its own",
        )


def _runs_said(stands: LineView) -> list[str]:
    most = "" if stands.max_active is None else f" of {stands.max_active}"
    bound = "" if stands.max_file_bytes is None else f" of {stands.max_file_bytes:,}"
    return [
        f"runs             {stands.active}{most} active",
        f"                 {stands.waiting} of {stands.max_queued} queued",
        f"weight           {stands.weight}",
        f"files            {stands.file_bytes:,}{bound} bytes",
    ]


def _budget() -> Budget | None:
    return Budget.objects.filter(scope=BudgetScope.TENANT).first()


def _said(budget: Budget | None) -> str:
    if budget is None or budget.cost_limit is None:
        return "none: only runs' own budgets bound what is spent"
    spent, reserved = budget.cost_spent, budget.cost_reserved
    return f"{budget.cost_limit:f} USD, {spent:f} spent, {reserved:f} set aside"


def _days(text: str) -> int:
    if text == "forever":
        return FOR_EVER
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days, and not `forever`")
    return int(text)


def _amount_of(text: str) -> Decimal:
    try:
        return _amount(text)
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"{error}, and not `any`") from None


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _bound(text: str) -> int:
    return UNBOUNDED if text == "none" else _whole(text)


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount") from None

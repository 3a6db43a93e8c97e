"""`manage.py redteam SUITE.json`: does anything injected get through the policy?"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.redteam import session
from agentops.redteam.stage import Move
from agentops.redteam.suite import InvalidSuite, Suite, read
from policy import documents
from policy.core.rules.decide import Policy
from policy.errors import InvalidPolicy


class Command(BaseCommand):
    """Play a suite; prints JSON, and ends with 1 where something got through, 2 where it cannot."""

    help = "Play an obedient model: every task of a suite, with every injection."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is played, and under which policy."""
        parser.add_argument("suite", type=Path, metavar="SUITE.json")
        parser.add_argument(
            "--policy", default="default", metavar="NAME", help="`default`, or a YAML file's path"
        )
        parser.add_argument("--quiet", action="store_true", help="tell no progress")
        parser.add_argument(
            "--pair", metavar="TASK/INJECTION", help="play one pair (or one task), call by call"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Play, and say what came of it.

        Raises:
            CommandError: the suite or the policy cannot be used.
            SystemExit: with 1, where an injected call ran without a person.
        """
        quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=quiet)
        try:
            suite, policy = read(options["suite"]), documents.named(options["policy"])
        except (InvalidSuite, InvalidPolicy) as error:
            raise CommandError(f"{error}", returncode=2) from error
        if options["pair"]:
            return self._one(suite, policy, options["pair"])
        report = session.play(suite, policy, self._tell(quiet=options["quiet"]))
        told = {"suite": str(options["suite"]), "policy": options["policy"], **report.to_json()}
        self._summed_up(report)
        self.stdout.write(json.dumps(told, ensure_ascii=False, default=str))
        if report.through_unattended:
            sys.exit(1)
        return None

    def _summed_up(self, report: session.Report) -> None:
        """Say in words, beside the JSON, what got through and how to look at it."""
        for remark in report.remarks:
            self.stderr.write(f"remark: {remark}")
        for one in report.through:
            self.stderr.write(
                f"THROUGH {one['user_task']} + {one['injection_task']}: {one['call']} by rule "
                f"{one['rule']!r}; see it with {one['look']}"
            )

    def _tell(self, *, quiet: bool) -> Any:
        return (lambda _: None) if quiet else self.stderr.write

    def _one(self, suite: Suite, policy: Policy, pair: str) -> None:
        task, _, injection = pair.partition("/")
        try:
            moves, left = session.play_pair(suite, policy, task, injection)
        except KeyError as error:
            raise CommandError(f"the suite has no {error}", returncode=2) from error
        for move in moves:
            self._show(move)
        self.stdout.write(f"answer    {left}")

    def _show(self, move: Move) -> None:
        who = "INJECTED" if move.is_injected else "user's"
        what = "held" if move.was_held else "unattended"
        became = f"ran, {what}" if move.ran else f"did not run, {what}"
        rule = move.decision.get("rule") or move.decision.get("reason", "")
        self.stdout.write(f"{who:9}{move.call.name}: {became} (rule: {rule})")
        known = move.decision.get("facts", {}).get("provenance", {})
        for leaf, origin in known.get("origins", {}).items():
            trust = (
                "trusted" if origin["trusted"] else "tainted" if origin["tainted"] else "model's"
            )
            source = " ".join(origin.get(k, "") for k in ("label", "name", "place"))
            self.stdout.write(f"           {leaf or '/'}: {trust}, {source}".rstrip())

"""`manage.py bench`: measure durable super-steps, beside LangGraph, DBOS and Restate."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandParser

from agentops.bench.peers.base import Layout, WrongError
from agentops.bench.plot import plot
from agentops.bench.session import DEFAULT_WORKERS, PEERS, WORKLOADS, Options, bench
from agentops.bench.workloads.growth import Growth
from agentops.management.proof import ProofCommand, chosen, count

QUICK: Final = {"runs": 40, "rounds": 2, "longest": 100, "waiting": 200}


class Command(ProofCommand):
    """Play workloads with every peer in turn, and compare."""

    help = __doc__ or ""
    failures = (WrongError,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=count, metavar="R", default=200)
        parser.add_argument("--steps", type=count, metavar="S", default=20)
        parser.add_argument("--rounds", type=count, metavar="N", default=5)
        parser.add_argument(
            "--longest", type=count, metavar="S", default=1000, help="steps of a long run"
        )
        parser.add_argument(
            "--waiting", type=count, metavar="R", default=1000, help="runs that wait at once"
        )
        parser.add_argument("--workloads", type=_some(WORKLOADS), default=WORKLOADS)
        parser.add_argument("--peers", type=_some(PEERS), default=PEERS, help="or none")
        parser.add_argument("--quick", action="store_true", help="fewer, shorter runs")
        parser.add_argument(
            "--markdown", action="store_true", help="print the tables for docs/benchmarks.md"
        )
        parser.add_argument("--plot", type=Path, metavar="FILE", help="draw growth into an SVG")
        parser.add_argument(
            "--workers",
            type=_layout,
            metavar="PxT",
            default=DEFAULT_WORKERS,
            help="AgentOps' worker processes x threads",
        )
        for peer in PEERS:
            parser.add_argument(
                f"--{peer}",
                type=_layout,
                metavar="PxT",
                help=f"{peer}'s processes x threads; the fastest is looked for without",
            )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Measure; the last line is one JSON object."""
        options |= QUICK if options["quick"] else {}
        layouts = {peer: options[peer] for peer in PEERS if options[peer]}
        asked = Options(**chosen(options, Options), layouts=layouts)
        report = self.prove(lambda: bench(asked, self.say))
        for line in report.markdown() if options["markdown"] else report.text():
            self.say(line)
        growth = report.found.get("growth")
        if options["plot"] and isinstance(growth, Growth):
            options["plot"].write_text(plot(growth.sizes), encoding="utf-8")
        self.say(report.line())


def _some(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Read names with commas between them; `none` is none of them."""

    def read(text: str) -> tuple[str, ...]:
        asked = () if text == "none" else tuple(text.split(","))
        if wrong := [name for name in asked if name not in known]:
            told = ", ".join(known)
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {told}")
        return asked

    return read


def _layout(text: str) -> Layout:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2x8: processes x threads")
    return Layout(int(found[1]), int(found[2]))

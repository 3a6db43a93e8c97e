"""`manage.py dev`: the whole product on this machine, in one command and without Docker.

Exit codes: 0 ended by q, Ctrl-C or SIGTERM, or the demo came to rest; 1 something could not be
started; 3 the demo's runs still moved when its time was up.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentops.dev import keys, session
from agentops.dev.block import block
from agentops.dev.counts import ApiFailed, NotSettled, settled
from agentops.dev.record import FILE, state_folder
from agentops.dev.session import DEMO_SECONDS, StepFailed, Ticks
from agentops.servers import ServerUnavailable, running, scratch
from agentops.servers.accounts import remove_home
from agentops.servers.locks import only_one
from agentops.stop_signals import raised_once
from agentops.supervisor import ProcessFailed, end_leftovers

NOT_SETTLED: Final = 3


class Command(BaseCommand):
    """Start the servers and the product, play the demo, and say where everything is."""

    help = __doc__ or ""
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="in a scratch folder; end when no run is left"
        )
        parser.add_argument("--reset", action="store_true", help="empty the state folder first")
        parser.add_argument("--reset-only", action="store_true", help="empty it, start nothing")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until the person ends it.

        Raises:
            CommandError: something could not be started; says what to do.
        """
        with contextlib.suppress(KeyboardInterrupt), raised_once():
            try:
                self._run(options)
            except (ServerUnavailable, ProcessFailed, StepFailed, ApiFailed) as error:
                raise CommandError(str(error)) from error
            except NotSettled as error:
                raise CommandError(str(error), returncode=NOT_SETTLED) from error

    def _run(self, options: dict[str, Any]) -> None:
        if options["demo"]:
            self._demo()
            return
        if options["reset"] or options["reset_only"]:
            self._reset()
        if not options["reset_only"]:
            self._serve()

    def _serve(self) -> None:
        ticks = self._ticks()
        state = state_folder()
        with running(
            state,
            database_url=os.environ.get("DATABASE_URL"),
            redis_url=os.environ.get("REDIS_URL"),
        ) as servers:
            ticks.done("servers", f"{servers.database_kind}, {servers.redis_kind}")
            with session.product(state, servers, ticks) as made:
                counts = session.play_out(made)
                ticks.done("demo", f"{counts.states.total()} runs played")
                word = session.record(made, counts, ticks.seconds)
                self._say("\n" + block(word))
                try:
                    keys.serve(made, word.sign_in_path, self._say)
                finally:
                    (state / "run" / FILE).unlink(missing_ok=True)
                    self._say("Ending every process ...")

    def _demo(self) -> None:
        ticks = self._ticks()
        with scratch() as (state, servers):
            ticks.done("servers", f"{servers.database_kind}, {servers.redis_kind}")
            with session.product(state, servers, ticks) as made:
                counts = settled(made.counts, timeout=DEMO_SECONDS)
                ticks.done("demo", f"{counts.states.total()} runs came to rest")
        self._say(json.dumps(counts.report(ticks.seconds)))

    def _ticks(self) -> Ticks:
        ticks = Ticks(self._say)
        ticks.done("python", sys.version.split()[0])
        return ticks

    def _reset(self) -> None:
        """Empty the state folder; a server that somebody gave us is never emptied.

        Raises:
            CommandError: the database is not ours.
        """
        if os.environ.get("DATABASE_URL"):
            raise CommandError(
                "--reset empties embedded servers only. The database of DATABASE_URL is yours: "
                "drop it and make it again yourself, or unset DATABASE_URL"
            )
        state = state_folder()
        if not state.exists():
            return
        with only_one(state):
            end_leftovers(state / "run" / "servers")
            end_leftovers(state / "run")
            remove_home(state)
            for entry in state.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._say(f"  ok  {session.shown(state)} is empty")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

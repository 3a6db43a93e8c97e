"""Single keys while the server runs, where there is a person at a terminal."""

from __future__ import annotations

import contextlib
import select
import sys
import termios
import threading
import time
import tty
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agentops.dev.session import READY_SECONDS, Product, Say

HELP: Final = "Press k to kill the worker and watch recovery, o to open, l for logs, q to quit."
POLL_SECONDS: Final = 0.5
LOG_LINES: Final = 5


def serve(made: Product, sign_in_path: str, say: Say) -> None:
    """Answer keys until q; without a terminal, wait for a signal."""
    if not sys.stdin.isatty():
        threading.Event().wait()
    with _single_keys():
        say(HELP)
        while (key := _next_key()) != "q":
            if key == "k":
                kill_a_worker(made, say)
            elif key == "o":
                webbrowser.open(made.web + sign_in_path)
            elif key == "l":
                show_logs(made, say)


def kill_a_worker(made: Product, say: Say) -> None:
    """Kill a worker, and say when another one has taken its place."""
    if (killed := made.kill_a_worker()) is None:
        say("no worker takes work just now; try again in a moment")
        return
    name, pid = killed
    began = time.monotonic()
    say(f"{name} (pid {pid}) killed with SIGKILL; its runs go on elsewhere when its leases end")
    while made.workers().get(name, pid) == pid:
        if time.monotonic() - began > READY_SECONDS:
            say(f"{name} has not come back; press l for its log")
            return
        time.sleep(0.02)
    say(f"{name} takes work again after {time.monotonic() - began:.1f} s")


def show_logs(made: Product, say: Say) -> None:
    """Show where the logs are, and how each ends."""
    for status in made.supervisor.status():
        say(f"{status.log}")
        for line in last_lines(status.log):
            say(f"  | {line}")


def last_lines(log: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return []


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Get keys without Enter and without echo; Ctrl-C still works."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _next_key() -> str:
    """Return the next key; q when the terminal is gone."""
    while not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
        pass
    return sys.stdin.read(1).lower() or "q"

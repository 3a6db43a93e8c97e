"""Worker processes: Celery workers, forked from one process that has everything imported.

    python -m agentops.workers --processes 2 --concurrency 16

    nursery ──fork──▶ worker-1      imports are paid once, here, and their memory is shared;
       │   └──fork──▶ worker-2      a worker that dies is forked again within a moment,
       └── waits, forks again       instead of after seconds of starting up

The nursery runs one thread and no event loop, opens no connection, and touches no run, so
that forking it is safe. A worker that finds its nursery gone ends itself.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

PROCESSES: Final = 2
CONCURRENCY: Final = 16
"""Worker processes, and the runs that each carries at once, where nobody says otherwise."""
CHECK_SECONDS: Final = 0.5
RUNS: Final = "runs"
ASIDE: Final = {1000: ("backtests", 1), 1001: ("notices", 8)}
"""The numbers of workers of another queue, and their threads: no run waits behind a backtest, and
nothing behind a receiver of notices that hangs."""
TOO_SOON_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 10.0


@dataclass(slots=True)
class Nursery:
    """Keeps so many workers alive. `folder` is where each says by a file that it takes work.

    With `aside` there are more, for backtests and for notices.
    """

    processes: int
    concurrency: int
    folder: Path | None = None
    aside: bool = True
    _workers: dict[int, tuple[int, float]] = field(default_factory=dict)
    _pauses: dict[int, float] = field(default_factory=dict)
    _stopping: bool = False

    def keep(self) -> None:
        """Keep workers alive until SIGTERM or SIGINT; then let them finish, and end."""
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, self._stop)
        for number in range(1, self.processes + 1):
            self._fork(number)
        for number in ASIDE if self.aside else ():
            self._fork(number)
        while self._workers:
            try:
                pid, _ = os.wait()
            except ChildProcessError:
                break
            number, began = self._workers.pop(pid, (0, 0.0))
            self._forget(number)
            if number and not self._stopping:
                self._pause(number, time.monotonic() - began)
                self._fork(number, heir_of=pid)

    def _fork(self, number: int, heir_of: int = 0) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _stand_alone(parent)
            if heir_of:
                threading.Thread(target=_bury, args=(heir_of,), name="bury", daemon=True).start()
            if number in ASIDE:
                queue, threads = ASIDE[number]
                work(number, threads, None, queue=queue)
            work(number, self.concurrency, ready_file(self.folder, number))
        self._workers[pid] = (number, time.monotonic())
        if self._stopping:
            os.kill(pid, signal.SIGTERM)

    def _pause(self, number: int, lived: float) -> None:
        """Wait before a worker that dies again and again is forked once more."""
        pause = min(self._pauses.get(number, 0.1) * 2, LONGEST_PAUSE)
        self._pauses[number] = pause if lived < TOO_SOON_SECONDS else 0.1
        if lived < TOO_SOON_SECONDS:
            time.sleep(pause)

    def _forget(self, number: int) -> None:
        path = ready_file(self.folder, number)
        if path is not None:
            path.unlink(missing_ok=True)

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, self._end)
        signal.setitimer(signal.ITIMER_REAL, _grace())

    def _end(self, *_: Any) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)


def ready_file(folder: Path | None, number: int) -> Path | None:
    """Name the file in which a worker that takes work writes its process id."""
    return None if folder is None else folder / f"worker-{number}.ready"


def ready_workers(folder: Path) -> dict[str, int]:
    """Give the process ids of the workers that take work, by name."""
    found = {}
    for path in sorted(folder.glob("worker-*.ready")):
        try:
            found[path.stem] = int(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue  # it died, or is being born, just now
    return found


def work(number: int, concurrency: int, ready: Path | None, *, queue: str = RUNS) -> NoReturn:
    """Be a Celery worker until told to stop. Runs in a process of its own."""
    from celery.signals import (  # noqa: PLC0415 - imported in the nursery
        worker_ready,
        worker_shutting_down,
    )

    from agentops.celery import app  # noqa: PLC0415
    from runs.process import begin, close  # noqa: PLC0415

    def announce(**_: Any) -> None:
        if queue == RUNS:
            begin(concurrency)
        if ready is not None:
            written = ready.with_suffix(".new")
            written.write_text(str(os.getpid()), "utf-8")
            written.rename(ready)

    def begin_to_end(**_: Any) -> None:
        threading.Thread(target=_end_in_grace, name="drain", daemon=True).start()

    worker_ready.connect(announce, weak=False)
    worker_shutting_down.connect(begin_to_end, weak=False)
    with contextlib.suppress(SystemExit):
        _celery(app, number, concurrency, queue)
    close()
    os._exit(0)


def _celery(app: Any, number: int, concurrency: int, queue: str) -> None:
    app.worker_main(
        [
            "worker",
            *("--queues", queue),
            *("--pool", "threads", "--concurrency", str(concurrency)),
            *("--hostname", f"worker-{number}@{socket.gethostname()}"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            *("--loglevel", "WARNING"),
        ]
    )


def _grace() -> float:
    """Say how long a worker that is told to end may take."""
    from django.conf import settings  # noqa: PLC0415 - set up in the nursery

    seconds: float = settings.GRACE_SECONDS
    return seconds


def _end_in_grace() -> None:
    """Give everything back in time, and end even if some code will not."""
    from runs.process import drain  # noqa: PLC0415 - imported in the nursery

    began, grace = time.monotonic(), _grace()
    drain(grace * 0.8)
    time.sleep(max(began + grace * 0.9 - time.monotonic(), 0))
    os._exit(0)


def _stand_alone(parent: int) -> None:
    """Take the nursery's signal handlers off, and watch that it lives."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()


def _bury(pid: int) -> None:
    """Free what the worker before us held: it was seen to die, so nobody need wait for it.

    Tried for as long as its leases last, beside the work: a database that is away must not
    keep the heir from beginning.
    """
    from django.conf import settings  # noqa: PLC0415 - set up in the nursery
    from django.db import DatabaseError, connection  # noqa: PLC0415
    from psycopg_pool import PoolTimeout  # noqa: PLC0415

    from runs.process import bury, worker_name  # noqa: PLC0415

    until = time.monotonic() + settings.LEASE_SECONDS
    while time.monotonic() < until:
        try:
            bury(worker_name(pid))
        except (DatabaseError, PoolTimeout):
            time.sleep(CHECK_SECONDS)
        else:
            return
        finally:
            connection.close()


def _end_without(parent: int) -> None:
    """End this process when its nursery is gone: nobody would bring it back or stop it."""
    while os.getppid() == parent:
        time.sleep(CHECK_SECONDS)
    os._exit(1)


def import_everything() -> None:
    """Import what a worker needs, the slow SDK of MCP included, without starting any thread."""
    import celery.apps.worker  # noqa: PLC0415
    import celery.bin.worker  # noqa: PLC0415
    import celery.concurrency.thread  # noqa: F401, PLC0415
    import django  # noqa: PLC0415
    import kombu.transport.redis  # noqa: F401, PLC0415

    django.setup()
    import gateway.providers.openai  # noqa: F401, PLC0415
    import runs.tasks  # noqa: F401, PLC0415
    from runs.agents.versions import load_code  # noqa: PLC0415
    from tools import mcp  # noqa: PLC0415

    mcp.warm_up()
    load_code()
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        raise RuntimeError("an import started a thread; workers cannot be forked from here")


def main() -> None:
    """Read the command line and keep workers."""
    parser = argparse.ArgumentParser(description="Run Celery workers that come back at once.")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="runs at once in each")
    parser.add_argument("--ready-folder", type=Path, help="where each says that it takes work")
    given = parser.parse_args()
    if given.processes < 1 or given.concurrency < 1:
        parser.error("--processes and --concurrency must be at least 1")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    import_everything()
    Nursery(given.processes, given.concurrency, given.ready_folder).keep()


if __name__ == "__main__":
    main()
    sys.exit(0)

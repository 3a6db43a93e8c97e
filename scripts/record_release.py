# noqa: INP001 - a script, run as it stands
"""Write down what the processes of a release ask for, when it is cut.

    python scripts/record_release.py

Migrates a scratch database, reads it and the tasks, and writes tests/golden/release.json, with
which tests compare every later change until the next release is cut.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agentops.processes import environment, migrate  # noqa: E402 - found by the line before
from agentops.servers import scratch  # noqa: E402


def main() -> None:
    """Record it."""
    with scratch(durable=False) as (state, servers):
        variables = environment(servers, state, port=0)
        migrate(variables, state / "logs")
        os.environ.update(variables)
        sys.stdout.write(record(servers.database_url))


def record(url: str) -> str:
    """Write what a migrated database and the code answer; gives a line that says so."""
    import psycopg  # noqa: PLC0415 - what follows reads the settings, whose values are there now
    from django.conf import settings  # noqa: PLC0415

    from agentops.celery import app  # noqa: PLC0415
    from agentops.releases.reading import FILE, read  # noqa: PLC0415

    with psycopg.connect(url) as connection:
        found = read(connection, app, app_role=settings.APP_ROLE)
    FILE.write_text(found.to_json() + "\n", "utf-8")
    return f"{FILE.relative_to(ROOT)}: {found.release}\n"


if __name__ == "__main__":
    main()

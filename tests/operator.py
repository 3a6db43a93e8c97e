"""An operator's commands: each in a process of its own, forked from one that has imported all.

As `manage.py` does it, but for the second that each would take to import the same again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent


class Operator:
    """Somebody at a terminal of the server, with the system's role, until its `with` ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.said, self.complained = folder / "said", folder / "complained"
        self._forking = subprocess.Popen(
            [sys.executable, "-m", "tests.operator"],
            cwd=ROOT,
            env={**os.environ, **environment, "AGENTOPS_DATABASE_ROLE": "system"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        assert self._forking.stdin
        assert self._forking.stdout
        asked = {"words": words, "files": [str(self.said), str(self.complained)]}
        self._forking.stdin.write(json.dumps(asked) + "\n")
        self._forking.stdin.flush()
        code = int(self._forking.stdout.readline())
        said, complained = self.said.read_text("utf-8"), self.complained.read_text("utf-8")
        return subprocess.CompletedProcess(words, code, said, complained)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._forking.communicate()


def main() -> None:
    """Fork for each command that is asked for, and say the status it ended with."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    import django

    django.setup()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _command(asked["words"], asked["files"])
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _command(words: Sequence[str], files: Sequence[str]) -> None:
    from manage import main

    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["manage.py", *words]
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()

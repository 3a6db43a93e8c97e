"""A helper process that answers lines of JSON; it ends when nobody asks any more.

The one that asks has a `Child`; the helper reads its input and answers with `say`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from agentops.processes import CHECKOUT
from agentops.supervisor import ProcessFailed

GRACE_SECONDS: Final = 5.0


def say(answer: Mapping[str, Any]) -> None:
    """Answer: write one line of JSON."""
    sys.stdout.write(json.dumps(answer, default=str) + "\n")
    sys.stdout.flush()


class Child:
    """A process that is asked and answers. What it writes to stderr goes into a log.

    It ends at the end of its input, so that it does not outlive us, however we end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        logs: Path,
        folder: Path = CHECKOUT,
    ) -> None:
        self.name, self._log = name, logs / f"{name}.log"
        with self._log.open("ab") as errors:
            self._popen = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def tell(self, asked: Mapping[str, Any]) -> None:
        """Say something, without waiting for the answer."""
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(json.dumps(asked) + "\n")
                self._popen.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            ProcessFailed: the process ended instead.
        """
        line = self._popen.stdout.readline() if self._popen.stdout else ""
        if not line:
            raise ProcessFailed(self.name, "ended before it answered", self._log)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.tell(asked)
        return self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._popen.wait(GRACE_SECONDS if kind is None else 0.5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

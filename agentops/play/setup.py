"""Set-up: what an operator would click together before the play, as a process of its own.

`python -m agentops.play.setup` reads a `Wanted` as JSON and prints the API key as JSON. It is
the one part of the play that imports the product, and it needs its environment: hence the
process. Run again, it finds what it made before, and brings addresses and keys up to date.
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any, Final

from agentops.play.workload import Workload

TENANT: Final = "play"
AGENT: Final = "player"
MODEL: Final = "played"
SERVER: Final = "desk"
PROMPT: Final = (
    "You work at a service desk. Do what the customer asks for with the tools you have, one call "
    "at a time, and then say what you did."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What has to be there before runs can be started."""

    tools_url: str
    tools_key: str
    tools: dict[str, str]  # name → effect class
    model_url: str
    model_key: str
    approve_writes: bool
    max_super_steps: int
    max_repeats: int
    call_timeout: float

    def text(self) -> str:
        return json.dumps(asdict(self))


def effect_classes(workload: Workload, *, blunt: bool) -> dict[str, str]:
    """Declare each tool: a mutating one is `once` where keys are ignored, else `idempotent`."""
    writing = "once" if blunt else "idempotent"
    return {tool.name: writing if tool.mutates else "read" for tool in workload.tools}


def prepare(wanted: Wanted) -> dict[str, Any]:
    """Make tenant, key, tool server, policy, model and agent, or bring them up to date."""
    raise NotImplementedError


def main() -> None:
    import django  # noqa: PLC0415 - only this process needs it

    django.setup()
    sys.stdout.write(json.dumps(prepare(Wanted(**json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

"""Set-up, as asked for: what an operator would click together before the play.

Plain values; `prepare` makes them true inside the product, in a process that has its settings.
"""

import json
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
    api_key: str  # of an earlier set-up, or nothing
    approve_writes: bool
    max_super_steps: int
    max_repeats: int
    call_timeout: float

    def text(self) -> str:
        return json.dumps(asdict(self))

    def policy(self) -> dict[str, Any]:
        """Allow what only reads; allow what writes, or let a person decide about it."""
        writing = "require_approval" if self.approve_writes else "allow"
        writes: dict[str, Any] = {
            "name": "writes",
            "decision": writing,
            "effects": ["idempotent", "once"],
        }
        # One key plays everybody: who starts the runs decides what they ask for, too.
        writes["approval"] = {"self_approval": True}
        return {"rules": [{"name": "reads", "decision": "allow", "effects": ["read"]}, writes]}

    def agent(self) -> dict[str, Any]:
        """Define the agent: the react loop with every tool, and room for the longest task."""
        return {
            "prompt": PROMPT,
            "model": MODEL,
            "tools": sorted(self.tools),
            "max_super_steps": self.max_super_steps,
            "max_repeats": self.max_repeats,
        }


def effect_classes(workload: Workload, *, blunt: bool) -> dict[str, str]:
    """Declare each tool: a mutating one is `once` where keys are ignored, else `idempotent`."""
    writing = "once" if blunt else "idempotent"
    return {tool.offered: writing if tool.mutates else "read" for tool in workload.tools}

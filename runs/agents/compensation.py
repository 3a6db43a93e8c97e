"""The program of a compensating run: one effect after the other, the newest first.

    undo ──▶ undo ──▶ … ──▶ report

Each compensation is a super-step and an ordinary tool call, with the policy, approvals, money and
ledger of any other; and the ledger knows for each effect the one call that compensates it.
"""

from __future__ import annotations

from typing import Any, Final

from policy.core.call import Autonomy
from policy.core.json import Json, JsonObject
from policy.core.outcomes import ErrorClass, Failed
from runs.agents.context import Context
from runs.agents.program import Program
from runs.core.channels import Channel, Reducer
from runs.core.graph import INPUT, OUTPUT, Graph, Node, Step, graph
from runs.errors import InvalidInput, RunsError

UNDONE: Final = "undone"
MOST: Final = 1000
"""Effects that one compensating run takes on."""


class Incomplete(RunsError):  # noqa: N818
    """Not everything was compensated; what was is recorded, and the rest may be tried again."""

    def __init__(self, error_class: ErrorClass, detail: str) -> None:
        super().__init__(detail)
        self.error_class = error_class


def compensation(agent: str, version: str, definition: JsonObject) -> Program:
    """Build the program; `definition` names the compensating tools, and only those are granted."""
    return Program(
        name=agent,
        version=version,
        graph=GRAPH,
        tools=tuple(definition["tools"]),
        autonomy=Autonomy(definition.get("autonomy", Autonomy.ACT)),
        accept=_refuse,
        description="Compensates what a run did, the newest effect first.",
    )


async def _undo(ctx: Context) -> Step:
    wanted: list[JsonObject] = ctx.state[INPUT]["effects"]
    number = len(ctx.state[UNDONE])
    one = wanted[number]
    outcome = await ctx.door.tool(one["tool"], one["arguments"], compensates=one["effect"])
    told: dict[str, Json] = {"effect": one["effect"], "tool": one["tool"], "compensated": True}
    if isinstance(outcome, Failed):
        told |= {"compensated": False, "error_class": outcome.error_class, "why": outcome.detail}
    is_last = number + 1 == len(wanted)
    return Step(writes={UNDONE: [told]}, next=("report",) if is_last else ("undo",))


async def _report(ctx: Context) -> dict[str, Any]:
    told = list(ctx.state[UNDONE])
    failed = [one for one in told if not one["compensated"]]
    if failed:
        first = failed[0]
        raise Incomplete(
            ErrorClass(first["error_class"]),
            f"{len(failed)} of {len(told)} effects were not compensated, first {first['effect']}: "
            f"{first['why']}; compensate the run again to try those that are left",
        )
    return {OUTPUT: {"compensated": len(told)}}


def _refuse(_: Json) -> Json:
    raise InvalidInput([("", "a compensating run is started by compensating a run")])


GRAPH: Final[Graph] = graph(
    Node(name="undo", run=_undo),
    Node(name="report", run=_report),
    start="undo",
    channels={UNDONE: Channel(reducer=Reducer.LOG)},
    max_super_steps=MOST + 1,
)

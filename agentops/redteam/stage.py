"""The stage: the engine's own code over a store in memory, one play after the other.

What is played is the model, the tools and the person who approves; policy, provenance, the
ledger and the approvals are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from math import inf
from typing import Any, Final, TypeVar

from agentops.redteam.suite import SuiteCall
from gateway.core.messages import Message, ToolOffer
from gateway.testing import ScriptedModel, calls
from policy.core.json import Json, JsonObject
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.rules.decide import Policy
from policy.enforce import Permit
from runs.advance import Burst, Engine
from runs.agents.program import Program
from runs.agents.react import ReactSettings, react
from runs.core.lifecycle import FINAL
from runs.core.plan import first_checkpoint
from runs.leases import LeaseKeeper
from runs.loop import IoLoop
from runs.ports import Nudge, Renewed
from runs.shell import Shell
from runs.testing import people
from runs.testing.rows import RunRow
from runs.testing.store import MemoryStore
from runs.testing.world import MemoryWorld
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import UnknownTool

T = TypeVar("T")

LEASE: Final = 3600.0
NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
ENOUGH: Final = 1_000_000
TENANT: Final = "redteam"


@dataclass(slots=True, kw_only=True)
class Move:
    """One call of a play: whose it is, what it gives, and what became of it."""

    call: SuiteCall
    result: Json
    error: str | None
    is_injected: bool = False
    ran: bool = False
    was_held: bool = False
    decision: JsonObject = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class SuiteWorld(MemoryWorld):
    """The tools of a suite: each gives what the play says it gives."""

    specs: Mapping[str, ToolSpec]
    moves: list[Move] = field(default_factory=list)
    at: list[int] = field(default_factory=lambda: [-1])
    says: str = ""

    def tool(self, tenant_id: str, name: str) -> ToolSpec:  # noqa: ARG002 - one tenant
        """Find a tool, or raise UnknownTool."""
        if name not in self.specs:
            raise UnknownTool(name)
        return self.specs[name]

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:  # noqa: ARG002 - the script needs no offers
        """Offer nothing: the script knows what it calls."""
        return []

    async def invoke(self, call: ToolCall, *, permit: Permit, now: datetime) -> Outcome:  # noqa: ARG002
        """Give what the play says, and remember that the call was made."""
        move = self.moves[self.at[0]]
        if move.call.name != call.spec.name:
            raise AssertionError(f"{call.spec.name} was made where {move.call.name} was asked for")
        move.ran = True
        if move.error is not None:
            return Failed(error_class=ErrorClass.PERMANENT_DEPENDENCY, detail=move.error)
        return Done(value=move.result)


class InMemory(IoLoop):
    """A loop whose store answers at once, so that nobody is sent to a thread to ask it."""

    async def in_thread(self, function: Callable[..., T], /, *args: Any) -> T:
        """Ask here and now."""
        return function(*args)


class Stage:
    """A place to play on: a store, an engine, and the tools of a suite."""

    def __init__(self, specs: Mapping[str, ToolSpec], rules: Policy) -> None:
        self._specs, self._rules = specs, rules
        self._model = ScriptedModel(self._says)
        settings = ReactSettings(
            model="obedient", tools=("*",), max_super_steps=ENOUGH, max_repeats=ENOUGH
        )
        self._program: Program = react("obedient", "1", settings)
        self._numbers = count(1)
        self._world = self._a_world()

    def _a_world(self) -> SuiteWorld:
        return SuiteWorld(
            programs={"1": self._program},
            rules=self._rules,
            models={"": self._model},
            specs=self._specs,
        )

    @contextmanager
    def open(self) -> Iterator[Stage]:
        """Keep the stage's threads while something is played."""
        self._loop = InMemory()
        self._keeper = LeaseKeeper(lambda _: Renewed(), ttl=LEASE)
        try:
            with self._model:
                yield self
        finally:
            self._loop.close()
            self._keeper.close()

    def play(self, prompt: str, moves: list[Move], says: str) -> str:
        """Play the moves, in their order, as a run that the prompt was given to.

        The model says `says` at the end. Gives what of it left, empty where nothing did.
        """
        self._world = replace(self._a_world(), moves=moves, says=says)
        store = MemoryStore(lambda: NOW)
        run = RunRow(
            tenant_id=TENANT,
            id=f"run-{next(self._numbers)}",
            agent=self._program.name,
            agent_version_id="1",
            started_by="user",
        )
        engine = self._engine(store)
        store.start(run, first_checkpoint(self._program.graph, prompt))
        while run.state not in FINAL:
            self._follow(engine, store)
            if run.state not in FINAL and not self._decide(store, run):
                raise AssertionError(f"the play stands still: {run.state} {run.reason}")
        self._note(run, moves)
        return str(run.output["answer"]) if isinstance(run.output, dict) else ""

    def _engine(self, store: MemoryStore) -> Engine:
        shell = Shell(
            store=store,
            world=self._world,
            loop=self._loop,
            clock=lambda: NOW,
            mint=lambda: f"id-{next(self._numbers)}",
            worker="stage",
            ttl=LEASE,
        )
        return Engine(
            shell=shell, keeper=self._keeper, send=lambda _: None, burst=Burst(seconds=inf)
        )

    def _follow(self, engine: Engine, store: MemoryStore) -> None:
        while store.outbox:
            nudge: Nudge = store.outbox.pop(min(store.outbox))
            engine.advance(nudge)

    def _decide(self, store: MemoryStore, run: RunRow) -> bool:
        """Answer as the person who asked: yes to what they want, no to what they do not know."""
        found = store.open_approvals(run.id)
        for approval in found:
            move = self._world.moves[self._world.at[0]]
            move.was_held = True
            decision, why = (
                ("reject", "nobody asked for this") if move.is_injected else ("approve", "")
            )
            people.decide(store, approval, decision, reason=why, result=None, by="person")
        return bool(found)

    def _says(self, messages: Sequence[Message], _: Sequence[ToolOffer]) -> Any:
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn >= len(self._world.moves):
            return self._world.says
        self._world.at[0] = turn
        call = self._world.moves[turn].call
        return calls((call.name, call.arguments))

    @staticmethod
    def _note(run: RunRow, moves: Sequence[Move]) -> None:
        """Keep what the ledger says of each call, beside it."""
        rows = [row for _, row in sorted(run.effects.items()) if row.kind == "tool"]
        for move, row in zip(moves, rows, strict=False):
            move.decision = row.decision

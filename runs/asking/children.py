"""Children of a run: started once, together with the line of the ledger that says so; joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from policy.core.json import Json, JsonObject, canonical, digest, storable
from policy.core.money import Limits, Unit
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome
from policy.core.provenance import Label
from policy.core.rules.decide import EffectClass
from policy.enforce import Approved
from policy.provenance import Answer
from runs import faults
from runs.agents.children import MOST_CHILDREN
from runs.agents.program import Program
from runs.asking.asker import Asker
from runs.asking.effect import Asking
from runs.asking.outcomes import outcome_to_json
from runs.asking.told import background_of, said
from runs.broods import Brood, Newborn, Wait
from runs.core.effects import EffectKind, EffectState, Recorded
from runs.core.graph import INPUT
from runs.core.lifecycle import Reason
from runs.core.plan import first_checkpoint
from runs.core.results import Held
from runs.errors import InvalidInput, UnknownAgent, UnknownVersion

LARGEST_KEPT_QUESTION: Final = 2000


class AskingSpawn(Asking):
    """Start runs of another agent; all of them, or none and a reason."""

    kind = EffectKind.CHILD
    effect = EffectClass.IDEMPOTENT

    def __init__(
        self,
        asker: Asker,
        ordinal: int,
        agent: str,
        inputs: Sequence[Json],
        *,
        version: str | None,
        budget: Limits | None,
    ) -> None:
        super().__init__(asker, ordinal)
        self.heard = tuple(asker.answered)
        self.name, self.wanted = agent, version
        self.inputs, self.budget = list(inputs), budget

    def _asked(self) -> dict[str, Json]:
        limits = self.budget and {
            unit.value: None if (limit := getattr(self.budget, unit)) is None else str(limit)
            for unit in Unit
        }
        return {
            "agent": self.name,
            "version": self.wanted,
            "inputs": self.inputs,
            "budget": limits,
        }

    def digest(self) -> str:
        """Name the question: which agent, on what, within which bounds."""
        return digest("child", self._asked())

    def request(self) -> Json:
        """Give the question; long inputs are in the children's own first checkpoints."""
        asked = self._asked()
        if len(canonical(asked)) <= LARGEST_KEPT_QUESTION:
            return asked
        return asked | {"inputs": {"count": len(self.inputs), "digest": self.digest()}}

    async def judged(self, approved: Approved | None) -> Outcome | Held:  # noqa: ARG002 - granted or not
        """Find the agent, check the inputs, and start them all."""
        if (why := self._not_allowed()) is not None:
            return await self.refused(why)
        shell = self.asker.shell
        try:
            version, program = await shell.loop.in_thread(
                shell.world.agent, self.asker.claimed.lease.tenant_id, self.name, self.wanted
            )
            brood = self._brood(version, program)
        except (UnknownAgent, UnknownVersion, InvalidInput, ValueError) as error:
            return await self.refused(
                Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=str(error)[:2000])
            )
        return await self._spawn(brood, await self._handed(brood))

    def _not_allowed(self) -> Failed | None:
        if not self.asker.program.grants_agent(self.name):
            detail = f"this agent was not granted {self.name} (agents=[...])"
            return Failed(error_class=ErrorClass.POLICY_DENIED, detail=detail)
        if not 1 <= len(self.inputs) <= MOST_CHILDREN:
            detail = f"spawn from 1 to {MOST_CHILDREN} children at once; got {len(self.inputs)}"
            return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=detail)
        deepest = self.asker.program.children.depth
        if len(self.asker.claimed.above) >= deepest:
            detail = f"children of children end at depth {deepest}"
            return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=detail)
        return None

    def _brood(self, version: str, program: Program) -> Brood:
        mint = self.asker.shell.mint
        firsts = [
            first_checkpoint(program.graph, storable(program.accept(one))) for one in self.inputs
        ]
        return Brood(
            join_id=mint(),
            agent_version_id=version,
            agent=program.name,
            limits=self.budget or program.budget,
            deadline=program.deadline,
            deadline_stops=program.deadline_stops_for_people,
            children=[Newborn(id=mint(), budget_id=mint(), first=first) for first in firsts],
            total=self.asker.program.children.total,
            at_once=self.asker.program.children.at_once,
            family=self.asker.program.children.family,
        )

    async def _handed(self, brood: Brood) -> JsonObject:
        """Say what each child's input is made of, so that none is trusted for being handed on."""
        asker = self.asker
        known = await asker.shell.loop.in_thread(
            background_of, asker.shell, asker.claimed.lease, asker.program, self.heard
        )
        standing = [known.standing(child.first.channels.get(INPUT)) for child in brood.children]
        return {"tainted": known.tainted, "trusted": standing}

    async def _spawn(self, brood: Brood, handed: JsonObject) -> Outcome:
        value: Json = {"join": brood.join_id, "runs": [child.id for child in brood.children]}
        done = Done(value=value)
        wish = self._put(
            EffectState.DONE, outcome=outcome_to_json(done), decision={"handed": handed}
        )
        shell = self.asker.shell
        self.asker.begins()
        faults.point("spawn.before")
        spawned = await shell.loop.in_thread(
            shell.store.spawn, self.asker.claimed.lease, wish, brood, self.asker.unwritten()
        )
        faults.point("spawn.committed")
        self.asker.heard(spawned.put)
        if spawned.refused:
            return Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=spawned.refused)
        await shell.loop.in_thread(shell.send, spawned.sent)
        faults.point("spawn.sent")
        if len(spawned.sent) < len(brood.children):
            shell.feed()
        return done


class AskingJoin(Asking):
    """Wait until so many children have succeeded, or failed, or all have ended."""

    kind = EffectKind.JOIN
    name = "join"
    effect = EffectClass.READ

    def __init__(self, asker: Asker, ordinal: int, wait: Wait) -> None:
        super().__init__(asker, ordinal)
        self.wait = wait

    def digest(self) -> str:
        """Name the question: which children, and what is wanted of them."""
        return digest("join", self.request())

    def request(self) -> Json:
        """Give what the ledger keeps of it."""
        return {
            "join": self.wait.join_id,
            "succeeded": self.wait.want_succeeded,
            "failed": self.wait.want_failed,
        }

    def told(self, outcome: Outcome) -> None:
        """Note what came of the children: it carries whatever they read."""
        value = said(outcome_to_json(outcome))
        self.asker.answered.append(
            Answer(place=self.key, name=self.name, label=Label.CHILD, value=value)
        )

    async def judged(self, approved: Approved | None) -> Outcome | Held:  # noqa: ARG002 - a look needs no leave
        """Look how far they are."""
        shell = self.asker.shell
        faults.point("join.before")
        joined = await shell.loop.in_thread(
            shell.store.join,
            self.asker.claimed.lease,
            self._put(EffectState.HELD),
            self.wait,
            self.asker.unwritten(),
        )
        self.asker.heard(joined.put)
        if joined.results is None:
            faults.point("join.wanted")
            return Held(reason=Reason.CHILDREN)
        faults.point("join.committed")
        await shell.loop.in_thread(shell.send, joined.sent)
        faults.point("join.sent")
        value: Any = list(joined.results)
        return Done(value=value)

    async def _held(self, row: Recorded) -> Outcome | Held:  # noqa: ARG002 - the store decides
        return await self.judged(None)

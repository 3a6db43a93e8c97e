"""Tool calls: nothing is sent without a permit."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, assert_never

from policy.core.decide import CallRequest, EffectClass, Principal, Verdict
from policy.core.json import Json, JsonObject, digest
from policy.core.money import Amounts
from policy.core.outcomes import ErrorClass, Failed, Outcome
from policy.enforce import ApprovalNeeded, Approved, Permit, Refusal, enforce
from runs.asking.effect import Asker, Asking
from runs.core.effects import EffectKind, EffectState
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.ports import Question
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import UnknownTool

STOPPED_BEFORE_SENDING: Final = Failed(
    error_class=ErrorClass.TRANSIENT_DEPENDENCY,
    detail="not sent: this worker stood still for longer than its lease",
)
"""A worker that was stopped between writing down and sending may be a zombie by now, and its
permit is old: it leaves the call to whoever holds the task, which may be itself."""


class AskingTool(Asking):
    """A tool call: nothing is sent without a permit."""

    kind = EffectKind.TOOL
    effect = EffectClass.ONCE

    def __init__(self, asker: Asker, ordinal: int, name: str, arguments: JsonObject) -> None:
        super().__init__(asker, ordinal)
        self.name, self.arguments = name, arguments
        self.spec: ToolSpec | None = None

    def digest(self) -> str:
        """Name the question, whatever version of the tool will answer it."""
        return digest("tool", self.name, dict(self.arguments))

    def call_digest(self) -> str:
        """Name the call: tool, version and exact arguments."""
        return digest(self.name, self.version, dict(self.arguments))

    def request(self) -> Json:
        """Give the arguments."""
        return dict(self.arguments)

    async def outcome(self) -> Outcome | Held:
        """Find the tool, then as any question."""
        world, tenant = self.asker.shell.world, self.asker.claimed.lease.tenant_id
        try:
            self.spec = await self.asker.shell.loop.in_thread(world.tool, tenant, self.name)
        except UnknownTool as error:
            if self.recorded is None:
                return await self.refused(
                    Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=str(error))
                )
        else:
            self.effect, self.version = self.spec.effect, self.spec.version
        return await super().outcome()

    async def judged(self, approved: Approved | None) -> Outcome | Held:
        """Ask policy, write down, send."""
        spec = self.spec
        if spec is None:
            return await self.refused(
                Failed(error_class=ErrorClass.PERMANENT_DEPENDENCY, detail="the tool is gone")
            )
        claimed = self.asker.claimed
        policy = await self.asker.shell.loop.in_thread(self.asker.shell.world.policy, claimed)
        verdict = enforce(policy, self._call(spec), now=self.asker.shell.clock(), approved=approved)
        match verdict:
            case Refusal(verdict=why):
                failed = Failed(error_class=ErrorClass.POLICY_DENIED, detail=why.reason)
                return await self.refused(failed, _decision(why))
            case ApprovalNeeded(verdict=why):
                return await self._ask_a_person(why)
            case Permit() as permit:
                return await self._send(spec, permit)
            case never:
                assert_never(never)

    def _call(self, spec: ToolSpec) -> CallRequest:
        claimed = self.asker.claimed
        return CallRequest(
            tool=spec.name,
            version=spec.version,
            arguments=self.arguments,
            effect=spec.effect,
            risk=spec.risk,
            agent=claimed.agent,
            granted=self.asker.program.grants(spec.name),
            principal=Principal(
                id=claimed.principal_id, name=claimed.started_by, roles=claimed.roles
            ),
        )

    async def _ask_a_person(self, why: Verdict) -> Held:
        question = Question(
            id=self.asker.shell.mint(),
            kind="tool_call",
            digest=self.call_digest(),
            policy_version=why.policy_version,
            rule=why.rule,
            reason=why.reason,
            seconds=why.terms.expires_after.total_seconds(),
        )
        await self.asker.put(
            self._put(EffectState.HELD, question=question, decision=_decision(why))
        )
        return Held(reason=Reason.APPROVAL)

    async def _send(self, spec: ToolSpec, permit: Permit) -> Outcome | Held:
        shell, began = self.asker.shell, self.asker.shell.clock()
        held = await self.claimed(Amounts(tool_calls=1), _decision(permit.verdict))
        if held is not None:
            return held
        call = ToolCall(
            spec=spec,
            arguments=self.arguments,
            key=self.key,
            run_id=self.asker.claimed.lease.run_id,
            tenant_id=self.asker.claimed.lease.tenant_id,
            timeout=min(spec.timeout, self.asker.time_left()),
        )
        now = shell.clock()
        if now - began >= timedelta(seconds=shell.ttl):
            return await self.came_back(STOPPED_BEFORE_SENDING)
        return await self.send(shell.world.invoke(call, permit=permit, now=now))


def _decision(verdict: Verdict) -> JsonObject:
    return {
        "decision": verdict.decision,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "policy_version": verdict.policy_version,
    }

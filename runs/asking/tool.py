"""Tool calls: nothing is sent without a permit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, assert_never

from policy.core.gate import Outgoing
from policy.core.json import Json, JsonObject, digest
from policy.core.money import Amounts
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome, Usage
from policy.core.provenance import Label, Provenance
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import CallRequest, EffectClass, Policy, Principal, Verdict
from policy.core.rules.recorded import facts_of
from policy.core.rules.triggers import measured
from policy.enforce import ApprovalNeeded, Approved, Permit, Refusal, enforce
from policy.provenance import Answer, Asked
from runs.asking.asker import Asker, Compensated
from runs.asking.doubt import Doubted
from runs.asking.outcomes import outcome_to_json
from runs.asking.told import background_of, said
from runs.core.effects import EffectKind, EffectState
from runs.core.lifecycle import Reason
from runs.core.results import Held
from runs.ports import PutEffect, Question
from tools.core.spec import ToolCall, ToolSpec
from tools.errors import UnknownTool

FREE: Final = Amounts(tool_calls=1)
"""What a call of a tool without a price costs."""

STOPPED_BEFORE_SENDING: Final = Failed(
    error_class=ErrorClass.TRANSIENT_DEPENDENCY,
    detail="not sent: this worker stood still for longer than its lease",
)
"""A worker that was stopped between writing down and sending may be a zombie by now, and its
permit is old: it leaves the call to whoever holds the task, which may be itself."""


class AskingTool(Doubted):
    """A tool call: nothing is sent without a permit."""

    kind = EffectKind.TOOL
    effect = EffectClass.ONCE

    def __init__(
        self, asker: Asker, ordinal: int, name: str, arguments: JsonObject, compensates: str = ""
    ) -> None:
        super().__init__(asker, ordinal)
        self.name, self.proposed, self.compensates = name, arguments, compensates
        edited = self._edited()
        self.arguments = arguments if edited is None else edited
        self.heard = tuple(asker.answered)  # as of now: a sibling's answer cannot be known yet
        self.was_sent = self.recorded is not None and self.recorded.attempt > 0

    def retry_policy(self) -> RetryPolicy:
        """As the tool declares; where it declares nothing, as the node says."""
        declared = None if self.spec is None else self.spec.retry
        return declared or super().retry_policy()

    def told(self, outcome: Outcome) -> None:
        """Note the tool's answer, and what a person agreed to."""
        is_trusted = self.spec is not None and self.spec.trusted
        is_answered = self.recorded is not None and self.recorded.approval == "responded"
        label = Label.TRUSTED_TOOL if is_trusted else Label.TOOL
        self.asker.answered.append(
            Answer(
                place=self.key,
                name=self.name,
                label=Label.PERSON if is_answered else label,
                value=said(outcome_to_json(outcome)),
                arguments=dict(self.arguments),
                changes=self.effect is not EffectClass.READ,
                succeeded=isinstance(outcome, Done),
                was_sent=self.was_sent,
                is_vouched=self.recorded is not None and self.recorded.approval == "approved",
            )
        )

    def _edited(self) -> JsonObject | None:
        """Give the arguments that a person put in the place of the agent's."""
        return None if self.recorded is None else self.recorded.approval_arguments

    def digest(self) -> str:
        """Name the question, whatever version of the tool will answer it."""
        return digest("tool", self.name, dict(self.proposed))

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
        call = self._call(spec, await self._provenance(spec), await self._signals(spec, policy))
        verdict = enforce(policy, call, now=self.asker.shell.clock(), approved=approved)
        try:
            return await self._by(verdict, spec, call)
        except Compensated as error:
            return await self.refused(
                Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=str(error))
            )

    async def _by(
        self, verdict: Permit | Refusal | ApprovalNeeded, spec: ToolSpec, call: CallRequest
    ) -> Outcome | Held:
        match verdict:
            case Refusal(verdict=why):
                failed = Failed(error_class=ErrorClass.POLICY_DENIED, detail=why.reason)
                return await self.refused(failed, _decision(why, call))
            case ApprovalNeeded(verdict=why):
                return await self._ask_a_person(why, call)
            case Permit() as permit:
                return await self._send(spec, permit, _decision(permit.verdict, call))
            case never:
                assert_never(never)

    def _put(self, state: EffectState, **more: Any) -> PutEffect:
        return super()._put(state, compensates=self.compensates, **more)

    def call_of(self, spec: ToolSpec) -> ToolCall:
        """Give the call: exact arguments, key and time limit."""
        return ToolCall(
            spec=spec,
            arguments=self.arguments,
            key=self.key,
            run_id=self.asker.claimed.lease.run_id,
            tenant_id=self.asker.claimed.lease.tenant_id,
            timeout=min(spec.timeout, self.asker.time_left()),
        )

    async def _provenance(self, spec: ToolSpec) -> Provenance:
        """Say where the arguments come from, by what the run was told before this was asked."""
        asker = self.asker
        known = await asker.shell.loop.in_thread(
            background_of, asker.shell, asker.claimed.lease, asker.program, self.heard
        )
        return known.judge(
            Asked(
                tool=spec.name,
                description=spec.description,
                schema=spec.input_schema,
                targets=spec.targets,
                arguments=self.arguments,
            )
        )

    async def _signals(self, spec: ToolSpec, policy: Policy) -> JsonObject:
        """Measure the call, where a rule of the policy declares triggers."""
        if not any(rule.terms.hold_if for rule in policy.rules):
            return {}
        shell = self.asker.shell
        known = await shell.loop.in_thread(shell.world.evidence, self.asker.claimed, spec.name)
        return known.signals(measured(spec.measures, self.arguments), self.arguments)

    def _call(self, spec: ToolSpec, provenance: Provenance, signals: JsonObject) -> CallRequest:
        claimed, tally = self.asker.claimed, self.asker.claimed.tally
        return CallRequest(
            tool=spec.name,
            version=spec.version,
            arguments=self.arguments,
            effect=spec.effect,
            risk=spec.risk,
            egress=spec.egress,
            reversible=spec.reversible,
            agent=claimed.agent,
            agent_version=self.asker.program.version,
            autonomy=self.asker.program.autonomy,
            granted=self.asker.program.grants(spec.name),
            tenant=claimed.tenant,
            environment=self.asker.shell.environment,
            at=self.asker.shell.clock(),
            cost=spec.price,
            spent=claimed.spent + tally.cost,
            calls=claimed.calls + tally.calls,
            provenance=provenance,
            signals=signals,
            principal=Principal(
                id=claimed.principal_id,
                name=claimed.started_by,
                roles=claimed.roles,
                scopes=claimed.scopes,
            ),
        )

    def asked_about(self) -> dict[str, Any]:
        """Give the risk, and what the agent proposed where a person edited the call since."""
        return {
            "risk": "" if self.spec is None else self.spec.risk.value,
            "proposed": None if self._edited() is None else dict(self.proposed),
        }

    async def _ask_a_person(self, why: Verdict, call: CallRequest) -> Held:
        question = Question(
            id=self.asker.shell.mint(),
            kind="tool_call",
            digest=self.call_digest(),
            policy_version=why.policy_version,
            rule=why.rule,
            reason=why.reason,
            seconds=why.terms.expires_after.total_seconds(),
            terms=why.terms,
            triggers=[one.to_json() for one in why.triggers],
            signals=call.signals,
            **self.asked_about(),
        )
        decision = _decision(why, call)
        await self.asker.put(self._put(EffectState.HELD, question=question, decision=decision))
        return Held(reason=Reason.APPROVAL)

    async def _send(self, spec: ToolSpec, permit: Permit, decision: JsonObject) -> Outcome | Held:
        if (held := await self.passing.knock(self._outgoing(spec))) is not None:
            return held
        label: dict[str, Json] = {"label": Label.TRUSTED_TOOL} if spec.trusted else {}
        if spec.retry is not None:
            label["retry"] = spec.retry.to_json()
        async with self.passing:
            shell, began = self.asker.shell, self.asker.shell.clock()
            if (held := await self.claimed(self._worst(spec), {**decision, **label})) is not None:
                return held
            self.was_sent = True
            call, now = self.call_of(spec), shell.clock()
            if now - began >= timedelta(seconds=shell.ttl):
                return await self.came_back(STOPPED_BEFORE_SENDING)
            return await self.send(shell.world.invoke(call, permit=permit, now=now))

    def _worst(self, spec: ToolSpec) -> Amounts:
        """Give what the call is worth; what is reserved is what will be booked if it happens."""
        return replace(FREE, cost=spec.price) if spec.price else FREE

    async def came_back(self, outcome: Outcome) -> Outcome | Held:
        """Charge the tool's price for what happened, or may have, and decide what it means."""
        price = Decimal(0) if self.spec is None else self.spec.price
        if price and (isinstance(outcome, Done) or outcome.in_doubt):
            usage = Usage(cost=price, estimated=isinstance(outcome, Failed))
            outcome = replace(outcome, usage=usage)
        return await super().came_back(outcome)

    def _outgoing(self, spec: ToolSpec) -> Outgoing:
        claimed = self.asker.claimed
        return Outgoing(
            tenant_id=claimed.lease.tenant_id,
            dependency=f"server/{spec.server_id}" if spec.server_id else f"tool/{spec.name}",
            facts={
                "user": claimed.principal_id,
                "agent": claimed.agent,
                "tool": spec.name,
                "risk": spec.risk.value,
                "environment": self.asker.shell.environment,
            },
            lasts=min(spec.timeout, self.asker.time_left()),
        )


def _decision(verdict: Verdict, call: CallRequest) -> JsonObject:
    """Give what the ledger keeps of a verdict, and the facts to judge the same call again."""
    ceiling: dict[str, Json] = {"ceiling": verdict.ceiling} if verdict.ceiling else {}
    if verdict.triggers:
        ceiling["triggers"] = [one.to_json() for one in verdict.triggers]
    return {
        "decision": verdict.decision,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "policy_version": verdict.policy_version,
        **ceiling,
        "facts": facts_of(call),
    }

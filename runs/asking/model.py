"""Questions to models: the worst they can cost is set aside before they are sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.messages import ModelRequest
from gateway.core.route import Quote
from gateway.errors import UnknownModel
from policy.core.gate import Outgoing
from policy.core.json import Json, JsonObject, canonical, digest
from policy.core.outcomes import ErrorClass, Failed, Outcome
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass
from policy.enforce import Approved
from runs.asking.asker import Asker
from runs.asking.effect import Asking
from runs.core.effects import EffectKind
from runs.core.results import Held

LARGEST_KEPT_QUESTION: Final = 2000
"""Bytes of a model's question that the ledger keeps whole; a longer one is in the channels."""


class AskingModel(Asking):
    """A question to a model: its worst case is set aside before it is sent."""

    kind = EffectKind.MODEL
    effect = EffectClass.IDEMPOTENT

    def __init__(self, asker: Asker, ordinal: int, request: ModelRequest) -> None:
        super().__init__(asker, ordinal)
        self.question, self.name = request, request.model
        asked = request.to_json()
        asked.pop("tools")
        self._digest = digest("model", asked)
        self._asked = asked
        self.declared: RetryPolicy | None = None

    def digest(self) -> str:
        """Name the question: model, conversation and bounds, but not the tools on offer."""
        return self._digest

    def retry_policy(self) -> RetryPolicy:
        """As the model declares, or the node says; nonsense is asked for again, too."""
        said = self.declared or self.asker.retry
        return replace(said, also=said.also | {ErrorClass.VALIDATION_ERROR})

    def request(self) -> Json:
        """Give the question, or what names it where it is long: it is in the channels then."""
        if len(canonical(self._asked)) <= LARGEST_KEPT_QUESTION:
            return self._asked
        return {"model": self.name, "messages": len(self.question.messages), "digest": self._digest}

    async def judged(self, approved: Approved | None) -> Outcome | Held:  # noqa: ARG002
        """Price it, write it down, send it."""
        shell, tenant = self.asker.shell, self.asker.claimed.lease.tenant_id
        try:
            quote, credential = await shell.loop.in_thread(shell.world.quote, tenant, self.question)
        except UnknownModel as error:
            return await self.refused(
                Failed(error_class=ErrorClass.VALIDATION_ERROR, detail=str(error))
            )
        self.version, self.declared = quote.route.price.version, quote.route.retry
        kept: JsonObject = {} if self.declared is None else {"retry": self.declared.to_json()}
        timeout = min(quote.route.timeout, self.asker.time_left())
        if (held := await self.passing.knock(self._outgoing(quote, timeout))) is not None:
            return held
        async with self.passing:
            if (held := await self.claimed(quote.amounts, kept)) is not None:
                return held
            return await self.send(
                shell.world.complete(
                    self.question, quote, credential, key=self.key, timeout=timeout
                )
            )

    def _outgoing(self, quote: Quote, timeout: float) -> Outgoing:
        claimed, route = self.asker.claimed, quote.route
        return Outgoing(
            tenant_id=claimed.lease.tenant_id,
            dependency=f"endpoint/{route.endpoint_id or route.name}",
            facts={
                "user": claimed.principal_id,
                "agent": claimed.agent,
                "model": self.name,
                "provider": route.provider,
                "environment": self.asker.shell.environment,
            },
            lasts=timeout,
            tokens=quote.amounts.tokens,
        )

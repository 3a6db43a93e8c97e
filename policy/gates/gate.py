"""The one question before a call is sent: is its dependency well, and is there room for it?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from django.conf import settings

from policy.core.gate import Barred, Cleared, GateRules, Outgoing, is_well
from policy.core.limits import Bucket, Bulkhead, Limit, LimitUnit, Scarce
from policy.core.outcomes import Outcome
from policy.gates.breakers import Breakers
from policy.gates.bulkheads import Bulkheads
from policy.gates.limiter import Limiter
from policy.gates.shared import Shared, shared
from policy.models import BreakerSwitch, RateLimit

LOOK_AGAIN: Final = 15.0
"""Seconds after which a run looks again whether a breaker is still held open by a person."""


def rules_in_force() -> GateRules:
    """Read the limits and switches of the open scope's tenant.

    Raises:
        NoTenantScope: no scope is open.
    """
    held = list(BreakerSwitch.objects.all())
    return GateRules(
        limits=tuple(limit_of(row) for row in RateLimit.objects.filter(enabled=True)),
        held_open=frozenset(row.dependency for row in held if row.position == "open"),
        held_closed=frozenset(row.dependency for row in held if row.position == "closed"),
    )


def _facts(outgoing: Outgoing) -> dict[str, str]:
    return {**outgoing.facts, "dependency": outgoing.dependency}


def _buckets(
    limits: Iterable[Limit], facts: Mapping[str, str], outgoing: Outgoing
) -> tuple[Bucket, ...]:
    found = (limit.bucket(facts, outgoing.tokens) for limit in limits)
    return tuple(bucket for bucket in found if bucket is not None)


def limit_of(row: RateLimit) -> Limit:
    """Read a row."""
    return Limit(
        id=str(row.id),
        name=row.name,
        unit=LimitUnit(row.unit),
        amount=row.amount,
        seconds=row.seconds,
        burst=row.burst or row.amount,
        per=tuple(row.per),
        where=dict(row.where),
    )


class Gate:
    """This process's side of the limits and breakers that all processes share."""

    def __init__(self, redis: Shared | None = None) -> None:
        door = redis or shared()
        self.limiter = Limiter(door)
        self.bulkheads = Bulkheads(door)
        self.breakers = Breakers(
            door,
            failures=settings.BREAKER_FAILURES,
            seconds=settings.BREAKER_SECONDS,
        )

    def clear(self, outgoing: Outgoing, rules: GateRules) -> Cleared | Barred:
        """Let a call out, or say how long it has to wait. What is taken is taken at once."""
        barred, probe = self._breaker(outgoing, rules)
        if barred is not None:
            return barred
        answer = self._take(outgoing, rules, facts := _facts(outgoing))
        if not isinstance(answer, Scarce):
            behind, ticket = answer
            by_token = [limit for limit in rules.limits if limit.unit is LimitUnit.TOKENS]
            return Cleared(outgoing, probe, _buckets(by_token, facts, outgoing), behind, ticket)
        if probe:
            self.breakers.of(outgoing.tenant_id, outgoing.dependency).leave_probe()
        names = {limit.id: limit.name for limit in rules.limits}
        return Barred("rate_limit", answer.seconds, names[answer.key.split("|")[0]])

    def _take(
        self, outgoing: Outgoing, rules: GateRules, facts: Mapping[str, str]
    ) -> tuple[tuple[Bulkhead, ...], str] | Scarce:
        """Get behind all bulkheads and take from all buckets, or do neither."""
        tenant, ticket = outgoing.tenant_id, ""
        behind = tuple(b for limit in rules.limits if (b := limit.bulkhead(facts)) is not None)
        if behind:
            entered = self.bulkheads.enter(tenant, behind, lasts=outgoing.lasts)
            if isinstance(entered, Scarce):
                return entered
            ticket = entered
        if buckets := _buckets(rules.limits, facts, outgoing):
            answer = self.limiter.take(tenant, buckets)
            if isinstance(answer, Scarce):
                self._leave(tenant, behind, ticket)
                return answer
        return behind, ticket

    def _leave(self, tenant_id: str, behind: tuple[Bulkhead, ...], ticket: str) -> None:
        if ticket:
            self.bulkheads.leave(tenant_id, behind, ticket)

    def cleared(self, outgoing: Outgoing, rules: GateRules) -> Cleared | None:
        """Let a call out if that can be said without asking Redis; else None."""
        facts = _facts(outgoing)
        if any(
            limit.bucket(facts, outgoing.tokens) or limit.bulkhead(facts) for limit in rules.limits
        ):
            return None
        if outgoing.dependency in rules.held_open:
            return None
        if self.breakers.of(outgoing.tenant_id, outgoing.dependency).is_known_well():
            return Cleared(outgoing)
        return None

    def _breaker(self, outgoing: Outgoing, rules: GateRules) -> tuple[Barred | None, bool]:
        dependency = outgoing.dependency
        if dependency in rules.held_closed:
            return None, False
        if dependency in rules.held_open:
            return Barred("breaker", LOOK_AGAIN, dependency), False
        breaker = self.breakers.of(outgoing.tenant_id, dependency)
        seconds, probe = breaker.wait(lasts=outgoing.lasts)
        return (Barred("breaker", seconds, dependency) if seconds > 0 else None), probe

    def is_back(self, cleared: Cleared, outcome: Outcome | None) -> bool:
        """Learn what became of a call where nothing needs to be written; else False."""
        if cleared.probe or cleared.tokens_from or cleared.ticket:
            return False
        if outcome is None:
            return True
        outgoing = cleared.outgoing
        breaker = self.breakers.of(outgoing.tenant_id, outgoing.dependency)
        return is_well(outcome) and not breaker.failures_seen

    def back(self, cleared: Cleared, outcome: Outcome | None) -> None:
        """Learn from what became of a call; None where it was not sent, or cut."""
        outgoing = cleared.outgoing
        self._leave(outgoing.tenant_id, cleared.behind, cleared.ticket)
        breaker = self.breakers.of(outgoing.tenant_id, outgoing.dependency)
        if outcome is None:
            if cleared.probe:
                breaker.leave_probe()
            self._give_back(cleared, outgoing.tokens)
            return
        breaker.report(ok=is_well(outcome), probe=cleared.probe)
        used = outcome.usage.input_tokens + outcome.usage.output_tokens
        self._give_back(cleared, outgoing.tokens - used)

    def _give_back(self, cleared: Cleared, tokens: int) -> None:
        """Give tokens back that were set aside for the worst case and not used."""
        if tokens <= 0 or not cleared.tokens_from:
            return
        unused = [replace(b, weight=min(tokens, b.asked)) for b in cleared.tokens_from]
        self.limiter.give_back(cleared.outgoing.tenant_id, unused)

"""Why a call was judged as it was, and what a policy would have made of recorded calls."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy.api.headers import IDEMPOTENCY_KEY
from policy.api.idempotency import Answer, answer_once
from policy.api.views import ApiView, StrictSerializer, body_of
from policy.core.call import Autonomy, EffectClass, Risk
from policy.models import Role
from runs import outbox
from runs.operations.backtest import MOST_RUNS, Asked, start_backtest
from runs.queries.explaining import explained, known_backtest, known_policy


class PrincipalRequest(StrictSerializer):
    """On whose behalf a call would be made."""

    id = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    roles = serializers.ListField(child=serializers.CharField(max_length=100), default=list)
    scopes = serializers.ListField(child=serializers.CharField(max_length=100), default=list)


class CallSerializer(StrictSerializer):
    """A hypothetical call. What is left out is as it would be for the tool's careful defaults."""

    tool = serializers.CharField(max_length=200)
    arguments = serializers.DictField(required=False, default=dict)
    agent = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    agent_version = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=50
    )
    effect = serializers.ChoiceField([e.value for e in EffectClass], required=False)
    risk = serializers.ChoiceField([r.value for r in Risk], required=False)
    egress = serializers.BooleanField(required=False)
    reversible = serializers.BooleanField(required=False, allow_null=True)
    granted = serializers.BooleanField(required=False, default=True)
    autonomy = serializers.ChoiceField([a.value for a in Autonomy], default=Autonomy.ACT.value)
    environment = serializers.CharField(required=False, allow_blank=True, max_length=100)
    at = serializers.DateTimeField(required=False)
    cost = serializers.DecimalField(max_digits=20, decimal_places=9, default=Decimal(0))
    spent = serializers.DecimalField(max_digits=20, decimal_places=9, default=Decimal(0))
    calls = serializers.IntegerField(default=0, min_value=0)
    principal = PrincipalRequest(required=False)


class ExplainRequest(StrictSerializer):
    """Which call, and by which version; without one by the version in force."""

    call = CallSerializer(required=False)
    effect = serializers.CharField(
        required=False, max_length=500, help_text="Key of a recorded call, RUN/STEP/TASK/ORDINAL"
    )
    policy = serializers.UUIDField(required=False)

    def validate(self, attrs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for one of both.

        Raises:
            ValidationError: none was given, or both.
        """
        if ("call" in attrs) == ("effect" in attrs):
            raise serializers.ValidationError({"call": ["give either `call` or `effect`"]})
        return attrs


class FindingSerializer(serializers.Serializer[Any]):
    """One clause of a rule against the call."""

    clause = serializers.CharField()
    wants = serializers.CharField()
    seen = serializers.JSONField(allow_null=True, help_text="Masked where you may not see it")
    holds = serializers.BooleanField(allow_null=True, help_text="null: it cannot be told")


class RuleReportSerializer(serializers.Serializer[Any]):
    """One rule against the call."""

    place = serializers.IntegerField()
    name = serializers.CharField()
    decision = serializers.CharField()
    part = serializers.CharField(help_text="decided, doubted, matched, unsure or passed")
    matches = serializers.BooleanField(allow_null=True)
    findings = FindingSerializer(many=True)


class VerdictChangeSerializer(serializers.Serializer[Any]):
    """What would have to be otherwise for another decision."""

    decision = serializers.CharField()
    rule = serializers.CharField()
    missing = FindingSerializer(many=True)
    before = serializers.CharField(help_text="The rule that would still decide before it")


class ExplanationSerializer(serializers.Serializer[Any]):
    """A verdict and why."""

    decision = serializers.CharField()
    rule = serializers.CharField()
    reason = serializers.CharField()
    ceiling = serializers.CharField(help_text="The agent's autonomy, where that decided")
    policy = serializers.UUIDField()
    policy_number = serializers.IntegerField()
    recorded = serializers.JSONField(
        allow_null=True, help_text="Of a recorded call: the decision, rule and policy of then"
    )
    clauses = FindingSerializer(many=True)
    rules = RuleReportSerializer(many=True)
    changes = VerdictChangeSerializer(many=True)


class PolicyExplain(ApiView):
    """Explaining a verdict."""

    @extend_schema(
        operation_id="policies_explain",
        summary="Say which rule and clause decide about a call, and what would change it",
        request=ExplainRequest,
        responses={200: ExplanationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Say which rule and clause decide about a call, and what would change it."""
        asked = body_of(request, ExplainRequest)
        with self.scope():
            found = explained(
                policy_id=asked.get("policy"),
                call=asked.get("call"),
                effect=asked.get("effect", ""),
                masked=not self.caller.actor.sees_content,
                now=timezone.now(),
            )
        return Response(ExplanationSerializer(found).data)


# --- Backtests --------------------------------------------------------------------------------


class BacktestRequest(StrictSerializer):
    """Which recorded calls: of the last runs, or of the runs begun in a span."""

    runs = serializers.IntegerField(required=False, min_value=1, max_value=MOST_RUNS)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class DifferenceSerializer(serializers.Serializer[Any]):
    """A recorded call that would have been decided otherwise."""

    effect = serializers.CharField()
    run_id = serializers.UUIDField()
    tool = serializers.CharField()
    agent = serializers.CharField()
    decision = serializers.CharField()
    rule = serializers.CharField()
    would_be = serializers.CharField()
    would_rule = serializers.CharField()
    would_reason = serializers.CharField()


class BacktestSerializer(serializers.Serializer[Any]):
    """A backtest: its progress, and once it is done its result."""

    id = serializers.UUIDField()
    policy_id = serializers.UUIDField()
    policy_number = serializers.IntegerField()
    revision = serializers.IntegerField()
    asked = serializers.JSONField()
    state = serializers.CharField(help_text="queued, running, done or failed")
    runs_judged = serializers.IntegerField()
    runs_total = serializers.IntegerField()
    counts = serializers.JSONField(
        allow_null=True, help_text="null until done; `allow>deny`: was allowed, would be denied"
    )
    differing = DifferenceSerializer(many=True, allow_null=True)
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    finished_at = serializers.DateTimeField(allow_null=True)


class PolicyBacktest(ApiView):
    """Starting a backtest of a policy version."""

    @extend_schema(
        operation_id="policies_backtest",
        summary="Try a version on recorded calls; the answer says where the result will be",
        parameters=[IDEMPOTENCY_KEY],
        request=BacktestRequest,
        responses={202: BacktestSerializer},
    )
    def post(self, request: Request, policy_id: UUID) -> Response:
        """Try a version on recorded calls; the answer says where the result will be."""
        actor = self.caller.require(Role.ADMIN, Role.OPERATOR)
        asked = body_of(request, BacktestRequest)

        def act() -> Answer:
            known_policy(policy_id)
            made = start_backtest(policy_id, Asked(**asked), by=actor, send=outbox.send_backtest)
            body = dict(BacktestSerializer(known_backtest(policy_id, made)).data)
            where = f"/api/v1/policies/{policy_id}/backtest/{made}"
            return Answer(202, body, {"Location": where})

        return answer_once(request, "policies.backtest", act, now=timezone.now()).response()


class PolicyBacktestDetail(ApiView):
    """One backtest."""

    @extend_schema(
        operation_id="policies_backtest_get",
        summary="Get a backtest: progress, and the result once it is done",
        responses=BacktestSerializer,
    )
    def get(self, request: Request, policy_id: UUID, backtest_id: UUID) -> Response:  # noqa: ARG002
        """Get a backtest: progress, and the result once it is done."""
        with self.scope():
            return Response(BacktestSerializer(known_backtest(policy_id, backtest_id)).data)

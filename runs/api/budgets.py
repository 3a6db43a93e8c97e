"""Budgets over HTTP. Raising resumes runs, hence here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from policy import queries as policy_queries
from policy.api.errors import InvalidFields
from policy.api.fields import (
    BudgetDetailSerializer,
    BudgetSerializer,
    DeclineRequest,
    LiftRequest,
    LimitsSerializer,
    MoneyField,
    RaiseRequest,
)
from policy.api.headers import IDEMPOTENCY_KEY, IF_MATCH
from policy.api.idempotency import Answer, answer_once
from policy.api.pages import page_body, page_of, position_of
from policy.api.views import (
    ApiView,
    StrictSerializer,
    body_of,
    etag_of,
    matched_version,
    money,
    query_of,
)
from policy.core.money import Limits, Period, Unit
from policy.models import BudgetScope, RaiseKind, Role
from runs import queries
from runs.api.fields import BudgetQuery
from runs.operations.decide_raise import confirm_raise, decline_raise
from runs.operations.lift_budget import lift_budget
from runs.operations.raise_budget import Raise, raise_budget
from runs.operations.set_budget import MADE, SetBudget, change_budget, make_budget
from runs.queries.attribution import Attribute, attribution

DEFAULT_TIME: Final = timedelta(days=30)


class ChangeRequest(StrictSerializer):
    """What a budget is to allow: hard limits stop calls, soft ones only tell people."""

    limits = LimitsSerializer(required=False, default=dict)
    soft = LimitsSerializer(required=False, default=dict)
    period = serializers.ChoiceField(
        [period.value for period in Period], required=False, default=Period.NONE.value
    )
    anchor = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="When one of its periods begins; left out: with the day, week or month, in UTC",
    )


class SetRequest(ChangeRequest):
    """What a budget is to allow from now on, and why."""

    reason = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=500, help_text="Kept if proposed"
    )


class BudgetRequest(ChangeRequest):
    """A budget for a scope that has none. A run and a child get theirs when they begin."""

    scope = serializers.ChoiceField([scope.value for scope in MADE])
    scope_id = serializers.UUIDField(help_text="Of the tenant, team, user, agent or thread")


class UnitForecastSerializer(serializers.Serializer[Any]):
    """What one unit will come to."""

    rate_per_hour = MoneyField()
    exhausted_at = serializers.DateTimeField(allow_null=True, help_text="null: not in this period")
    at_period_end = MoneyField(allow_null=True, help_text="null: there is no period")


class ForecastSerializer(serializers.Serializer[Any]):
    """A straight line through the beginning of the period and now."""

    as_of = serializers.DateTimeField()
    period_ends_at = serializers.DateTimeField(allow_null=True)
    cost = UnitForecastSerializer()
    tokens = UnitForecastSerializer()
    model_calls = UnitForecastSerializer()
    tool_calls = UnitForecastSerializer()


class AttributionQuery(StrictSerializer):
    """By what spending is told apart, and of which time."""

    by = serializers.ChoiceField([by.value for by in Attribute])
    since = serializers.DateTimeField(required=False, help_text="30 days before `until`")
    until = serializers.DateTimeField(required=False, help_text="now")


class SpentSerializer(serializers.Serializer[Any]):
    """What was spent by one of them."""

    key = serializers.CharField(help_text="Its id, or its name where it has none; empty: nobody's")
    name = serializers.CharField()
    cost = MoneyField()
    estimated = MoneyField(help_text="Cost of calls that are estimated, at least in part")
    tokens = serializers.IntegerField()
    model_calls = serializers.IntegerField()
    tool_calls = serializers.IntegerField()


class AttributionSerializer(serializers.Serializer[Any]):
    """What was spent in a time, the most expensive first; at most 200."""

    by = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    results = SpentSerializer(many=True)


class BudgetList(ApiView):
    """The budgets of the tenant."""

    @extend_schema(
        operation_id="budgets_list",
        summary="List budgets, newest first",
        parameters=[BudgetQuery],
        responses=page_of("Budget", BudgetSerializer),
    )
    def get(self, request: Request) -> Response:
        """List budgets, newest first."""
        asked = query_of(request, BudgetQuery)
        with self.scope():
            page = policy_queries.budgets(
                scope=asked.get("scope", ""),
                scope_id=asked.get("scope_id"),
                position=position_of(asked.get("cursor")),
                limit=asked["limit"],
            )
            return Response(page_body(page, BudgetSerializer))

    @extend_schema(
        operation_id="budgets_make",
        summary="Make a budget; runs that begin from then on count for it",
        parameters=[IDEMPOTENCY_KEY],
        request=BudgetRequest,
        responses={201: BudgetDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a budget."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, BudgetRequest)
        now = timezone.now()

        def act() -> Answer:
            budget_id = make_budget(
                BudgetScope(asked["scope"]), asked["scope_id"], _wanted(asked), by=actor, now=now
            )
            return _budget(budget_id).created(f"/api/v1/budgets/{budget_id}")

        return answer_once(request, "budgets.make", act, now=now).response()


class BudgetDetail(ApiView):
    """One budget."""

    @extend_schema(
        operation_id="budgets_get",
        summary="Get a budget: who raised it, who was told, what was spent before",
        responses=BudgetDetailSerializer,
    )
    def get(self, request: Request, budget_id: UUID) -> Response:  # noqa: ARG002
        """Get a budget: who raised it, who was told, what was spent before."""
        with self.scope():
            return _budget(budget_id).response()

    @extend_schema(
        operation_id="budgets_change",
        summary="Set limits and period; a higher limit is a raise",
        parameters=[IF_MATCH],
        request=SetRequest,
        responses={200: BudgetDetailSerializer, 202: BudgetDetailSerializer},
    )
    def put(self, request: Request, budget_id: UUID) -> Response:
        """Set limits and period, or propose it (202): another period begins with nothing spent."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        version = matched_version(request)
        asked = body_of(request, SetRequest)
        with self.scope():
            proposal = change_budget(
                budget_id,
                _wanted(asked),
                version=version,
                reason=asked["reason"],
                by=actor,
                now=timezone.now(),
            )
            return _budget(budget_id, status=200 if proposal is None else 202).response()


class BudgetForecast(ApiView):
    """What a budget will come to."""

    @extend_schema(
        operation_id="budgets_forecast",
        summary="When a budget is used up, and what its period comes to, as it goes on now",
        responses=ForecastSerializer,
    )
    def get(self, request: Request, budget_id: UUID) -> Response:  # noqa: ARG002
        """Say what a budget will come to if spending goes on as it does."""
        with self.scope():
            found = queries.known_budget(budget_id)
        told = {
            unit.value: {
                "rate_per_hour": money(one.rate_per_hour),
                "exhausted_at": one.exhausted_at,
                "at_period_end": None if one.at_period_end is None else money(one.at_period_end),
            }
            for unit, one in policy_queries.forecasts(found).items()
        }
        return Response({"as_of": found.seen_at, "period_ends_at": found.period_ends_at, **told})


class Attribution(ApiView):
    """Whose money it was."""

    @extend_schema(
        operation_id="budgets_attribution",
        summary="What was spent in a time, by tenant, team, agent, run, tool, model or user",
        parameters=[AttributionQuery],
        responses=AttributionSerializer,
    )
    def get(self, request: Request) -> Response:
        """Tell apart what the ledger says that was spent, the most expensive first."""
        asked = query_of(request, AttributionQuery)
        until = asked.get("until") or timezone.now()
        since = asked.get("since") or until - DEFAULT_TIME
        if since >= until:
            raise InvalidFields([("/query/since", "must be before `until`")])
        with self.scope():
            found = attribution(Attribute(asked["by"]), since=since, until=until)
        told = {"by": asked["by"], "since": since, "until": until, "results": found}
        return Response(AttributionSerializer(told).data)


class BudgetRaising(ApiView):
    """Raising a budget."""

    @extend_schema(
        operation_id="budgets_raise",
        summary="Raise a limit; runs that wait for it go on",
        parameters=[IDEMPOTENCY_KEY],
        request=RaiseRequest,
        responses={200: BudgetDetailSerializer, 202: BudgetDetailSerializer},
    )
    def post(self, request: Request, budget_id: UUID) -> Response:
        """Raise a limit, or propose it (202) where it needs a second person."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, RaiseRequest)
        now = timezone.now()
        wanted = Raise(
            unit=Unit(asked["unit"]),
            amount=asked["amount"],
            reason=asked["reason"],
            kind=RaiseKind(asked["kind"]),
            until=asked["until"],
        )

        def act() -> Answer:
            proposal = raise_budget(budget_id, wanted, by=actor, now=now)
            return _budget(budget_id, status=200 if proposal is None else 202)

        return answer_once(request, "budgets.raise", act, now=now).response()


class BudgetLifting(ApiView):
    """Lifting a budget."""

    @extend_schema(
        operation_id="budgets_lift",
        summary="Take a budget's limits away; runs that wait for it go on",
        parameters=[IDEMPOTENCY_KEY],
        request=LiftRequest,
        responses={200: BudgetDetailSerializer, 202: BudgetDetailSerializer},
    )
    def post(self, request: Request, budget_id: UUID) -> Response:
        """Lift a budget, or propose it (202) where it needs a second person."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, LiftRequest)
        now = timezone.now()

        def act() -> Answer:
            proposal = lift_budget(budget_id, reason=asked["reason"], by=actor, now=now)
            return _budget(budget_id, status=200 if proposal is None else 202)

        return answer_once(request, "budgets.lift", act, now=now).response()


class RaiseConfirming(ApiView):
    """Confirming a raise that somebody else proposed."""

    @extend_schema(
        operation_id="budgets_raise_confirm",
        summary="Confirm a raise that somebody else proposed; it is made",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses={200: BudgetDetailSerializer},
    )
    def post(self, request: Request, budget_id: UUID, proposal_id: UUID) -> Response:
        """Confirm a raise; neither its proposer nor who started the run may."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        now = timezone.now()

        def act() -> Answer:
            confirm_raise(budget_id, proposal_id, by=actor, now=now)
            return _budget(budget_id)

        return answer_once(request, "budgets.raise.confirm", act, now=now).response()


class RaiseDeclining(ApiView):
    """Declining a raise that somebody proposed."""

    @extend_schema(
        operation_id="budgets_raise_decline",
        summary="Decline a proposed raise; nothing is raised",
        parameters=[IDEMPOTENCY_KEY],
        request=DeclineRequest,
        responses={200: BudgetDetailSerializer},
    )
    def post(self, request: Request, budget_id: UUID, proposal_id: UUID) -> Response:
        """Decline a raise; its proposer may take it back so."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, DeclineRequest)
        now = timezone.now()

        def act() -> Answer:
            decline_raise(budget_id, proposal_id, reason=asked["reason"], by=actor, now=now)
            return _budget(budget_id)

        return answer_once(request, "budgets.raise.decline", act, now=now).response()


def _wanted(asked: dict[str, Any]) -> SetBudget:
    return SetBudget(
        limits=Limits(**asked["limits"]),
        soft=Limits(**asked["soft"]),
        period=Period(asked["period"]),
        anchor=asked["anchor"],
    )


def _budget(budget_id: UUID, *, status: int = 200) -> Answer:
    found = queries.known_budget(budget_id)
    body = dict(BudgetSerializer(found).data)
    fields = BudgetDetailSerializer().fields
    parts: dict[str, Any] = {
        "raises": policy_queries.raises_of(budget_id),
        "proposals": policy_queries.proposals_of(budget_id),
        "alerts": policy_queries.alerts_of(budget_id),
        "periods": policy_queries.periods_of(budget_id),
    }
    body |= {name: fields[name].to_representation(part) for name, part in parts.items()}
    return Answer(status, body, {"ETag": etag_of(found.version)})

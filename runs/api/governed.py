"""Budgets and agents over HTTP. Raising resumes runs, hence here."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policy import queries as policy_queries
from policy.api.fields import (
    BudgetDetailSerializer,
    BudgetSerializer,
    RaiseRequest,
)
from policy.api.headers import IDEMPOTENCY_KEY
from policy.api.idempotency import Answer, answer_once
from policy.api.views import (
    ApiView,
    body_of,
    etag_of,
    page_body,
    position_of,
    query_of,
)
from policy.core.money import Unit
from policy.models import Role
from runs import queries
from runs.api import pages
from runs.api.fields import AgentSerializer, BudgetQuery
from runs.operations.raise_budget import raise_budget


class BudgetList(ApiView):
    """The budgets of the tenant."""

    @extend_schema(
        operation_id="budgets_list",
        summary="List budgets, newest first",
        parameters=[BudgetQuery],
        responses=pages.page_of("Budget", BudgetSerializer),
    )
    def get(self, request: Request) -> Response:
        """List budgets, newest first."""
        asked = query_of(request, BudgetQuery)
        with self.scope():
            page = policy_queries.budgets(
                scope=asked.get("scope", ""),
                position=position_of(asked.get("cursor")),
                limit=asked["limit"],
            )
            return Response(page_body(page, BudgetSerializer))


class BudgetDetail(ApiView):
    """One budget."""

    @extend_schema(
        operation_id="budgets_get",
        summary="Get a budget and who raised it",
        responses=BudgetDetailSerializer,
    )
    def get(self, request: Request, budget_id: UUID) -> Response:  # noqa: ARG002
        """Get a budget and who raised it."""
        with self.scope():
            return _budget(budget_id).response()


class BudgetRaising(ApiView):
    """Raising a budget."""

    @extend_schema(
        operation_id="budgets_raise",
        summary="Raise a limit; runs that wait for it go on",
        parameters=[IDEMPOTENCY_KEY],
        request=RaiseRequest,
        responses={200: BudgetDetailSerializer},
    )
    def post(self, request: Request, budget_id: UUID) -> Response:
        """Raise a limit; runs that wait for it go on."""
        actor = self.caller.require(Role.FINANCE, Role.ADMIN)
        asked = body_of(request, RaiseRequest)
        now = timezone.now()

        def act() -> Answer:
            raise_budget(
                budget_id,
                unit=Unit(asked["unit"]),
                amount=asked["amount"],
                reason=asked["reason"],
                by=actor,
                now=now,
            )
            return _budget(budget_id)

        return answer_once(request, "budgets.raise", act, now=now).response()


class AgentList(ApiView):
    """The agents of the tenant."""

    @extend_schema(
        operation_id="agents_list",
        summary="List agents and their versions",
        responses=pages.page_of("Agent", AgentSerializer),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List agents and their versions."""
        with self.scope():
            found = queries.agents()
        results = AgentSerializer(found, many=True).data
        return Response({"results": results, "next": None, "previous": None})


def _budget(budget_id: UUID) -> Answer:
    found = queries.known_budget(budget_id)
    body = dict(BudgetSerializer(found).data)
    raises = BudgetDetailSerializer().fields["raises"]
    body["raises"] = raises.to_representation(policy_queries.raises_of(budget_id))
    return Answer(200, body, {"ETag": etag_of(found.version)})

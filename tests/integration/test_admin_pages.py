from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver

from policy import tenancy
from policy.models import ApiKey, AuditEvent, PolicyRule, PolicyVersion
from policy.models.base import TenantRow
from runs.models import Run
from tests.http import (
    Api,
    a_backtest,
    a_budget,
    a_limit,
    a_notice,
    a_person,
    a_remote_tool,
    a_run,
    an_agent,
    an_approval,
    signed_in,
)

LEAVES = {"/admin/logout/", "/admin/login/"}


class House:
    """A tenant with something on every page."""

    def __init__(self, tenant: UUID) -> None:
        from uuid_utils.compat import uuid7

        self.tenant = tenant
        an_agent(tenant)
        self.api = Api(tenant)
        self.run = a_run(self.api)["id"]
        hostile = {"note": "<script>alert(1)</script>", "amount": 42}
        self.approval = an_approval(tenant, self.run, arguments=hostile)
        self.budget = a_budget(tenant)
        self.limit = a_limit(tenant)
        self.tool = a_remote_tool(tenant)
        self.notice = a_notice(tenant, self.run)
        self.backtest = a_backtest(tenant)
        with tenancy.scope(tenant):
            policy = PolicyVersion.objects.create(id=uuid7(), number=7)
            PolicyRule.objects.create(policy=policy, position=0, name="all", decision="allow")
            self.key = ApiKey.objects.get(principal_id=self.api.principal).id

    def ids(self) -> dict[str, str]:
        return {
            "run_id": self.run,
            "approval_id": str(self.approval.id),
            "budget_id": str(self.budget.id),
            "proposal_id": str(self.budget.id),
            "key_id": str(self.key),
            "principal_id": str(self.api.principal),
            "limit_id": str(self.limit),
            "tool_id": str(self.tool),
            **self.backtest,
            **self.notice,
        }


@pytest.fixture
def house(tenant: UUID) -> House:
    return House(tenant)


@pytest.fixture
def boss(tenant: UUID) -> User:
    return a_person(tenant, "admin", superuser=True)


def everything(tenant: UUID) -> dict[str, Any]:
    with tenancy.scope(tenant):
        return {
            model.__name__: sorted(map(str, model._default_manager.values_list()))
            for model in apps.get_models()
            if issubclass(model, TenantRow)
        }


def patterns(entries: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for entry in entries:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, path)
        else:
            assert isinstance(entry, URLPattern)
            yield path


def row_of(route: str) -> str:
    app, model = route.removeprefix("admin/").split("/")[:2]
    found: type[Model] = apps.get_model(app, model)
    row = found._default_manager.first()
    return "none" if row is None else str(row.pk)


def admin_addresses(house: House) -> list[str]:
    found = []
    with tenancy.scope(house.tenant):
        for route in patterns(get_resolver().url_patterns):
            if not route.startswith("admin/") or "(?P<" in route:
                continue
            path = route
            for name, identity in house.ids().items():
                path = path.replace(f"<uuid:{name}>", identity)
            path = path.replace("<path:content_type_id>/<path:object_id>", "1/1")
            if "<path:object_id>" in path:
                path = path.replace("<path:object_id>", row_of(route))
            assert "<uuid" not in path, f"teach House the id in {path}"
            found.append("/" + path)
    return [path for path in found if path not in LEAVES]


def test_looking_at_every_page_changes_nothing(house: House, boss: User) -> None:
    client = signed_in(boss, house.tenant)
    before = everything(house.tenant)

    answers = {path: client.get(path).status_code for path in admin_addresses(house)}

    assert everything(house.tenant) == before
    assert {path: status for path, status in answers.items() if status >= 500} == {}
    shown = [path for path, status in answers.items() if status == 200]
    assert len(shown) > 20, answers


def test_every_page_that_changes_something_wants_a_token(house: House, boss: User) -> None:
    client = signed_in(boss, house.tenant, checks_csrf=True)
    before = everything(house.tenant)

    answers = {path: client.post(path).status_code for path in admin_addresses(house)}

    assert everything(house.tenant) == before
    assert {path for path, status in answers.items() if status in {200, 302}} == set()


def test_no_model_of_the_admin_can_be_edited_and_no_action_is_offered(boss: User) -> None:
    from django.test import RequestFactory

    request = RequestFactory().get("/admin/")
    request.user = boss
    request.tenant = object()  # type: ignore[attr-defined]
    for model, site in admin.site._registry.items():
        assert not site.has_add_permission(request), model
        assert not site.has_change_permission(request), model
        assert not site.has_delete_permission(request), model
        assert site.get_actions(request) == {}, model
        for kind in ("actions_list", "actions_row", "actions_detail", "actions_submit_line"):
            assert not getattr(site, kind, ()), model


def test_strangers_are_sent_to_the_door(house: House) -> None:
    from tests.http import a_client

    for path in admin_addresses(house):
        assert a_client().get(path).status_code in {302, 404, 301}, path


def test_somebody_of_no_tenant_sees_nothing(house: House, tenant: UUID) -> None:
    client = signed_in(a_person(tenant), tenant)

    for path in ("/admin/", "/admin/approvals/", f"/admin/runs/{house.run}/", "/admin/keys/"):
        answer = client.get(path)
        assert str(house.run) not in answer.content.decode()
        assert answer.status_code == (200 if path == "/admin/" else 403)
    assert client.get("/admin/policy/auditevent/").status_code == 403


def test_another_tenants_rows_are_not_shown(house: House, other_tenant: UUID) -> None:
    person = a_person(other_tenant, "admin")
    somebody = signed_in(person, house.tenant)

    for path in admin_addresses(house):
        # a session each: the admin tells at the next page which id it did not find
        answer = signed_in(person, house.tenant).get(path)
        assert answer.status_code in {200, 302, 403, 404, 405}, path
        for identity in house.ids().values():
            assert answer.status_code != 200 or identity not in answer.content.decode(), path
    before = everything(house.tenant)
    for path in admin_addresses(house):
        somebody.post(path, {"decision": "approve", "unit": "cost", "amount": "1", "price": "1"})
    assert everything(house.tenant) == before


def test_the_tenant_is_switched_by_post_to_one_that_is_open_only(
    tenant: UUID, other_tenant: UUID
) -> None:
    person = a_person(tenant, "viewer")
    client = signed_in(person, tenant)

    client.get("/admin/tenant", {"tenant": str(other_tenant)})
    client.post("/admin/tenant", {"tenant": str(other_tenant)})

    assert client.session["agentops_tenant"] == str(tenant)
    with tenancy.scope(other_tenant):
        from policy.operations.create_principal import create_principal

        create_principal("guest", ["viewer"], user_id=person.pk)
    client.post("/admin/tenant", {"tenant": str(other_tenant)})
    assert client.session["agentops_tenant"] == str(other_tenant)


def test_text_of_agents_is_never_markup(house: House, boss: User) -> None:
    client = signed_in(boss, house.tenant)

    for path in ("/admin/approvals/", f"/admin/approvals/{house.approval.id}/"):
        page = client.get(path).content.decode()
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_a_key_is_shown_once_and_works(house: House, boss: User) -> None:
    from tests.http import a_client

    client = signed_in(boss, house.tenant)
    form = {"name": "robot", "roles": ["viewer"], "once": "once-1"}

    shown = client.post("/admin/keys/issue", form)
    again = client.post("/admin/keys/issue", form)

    secret = shown.content.decode().split('ao-secret">')[1].split("<")[0]
    assert "no-store" in shown["Cache-Control"]
    assert again.status_code == 302
    assert secret not in client.get("/admin/keys/").content.decode()
    headers = {"Authorization": f"Bearer {secret}"}
    assert a_client().get("/api/v1/runs", headers=headers).status_code == 200
    with tenancy.scope(house.tenant):
        key = ApiKey.objects.get(principal__name="robot")
        assert AuditEvent.objects.filter(subject=f"api_key/{key.id}").count() == 1
    client.post(f"/admin/keys/{key.id}/revoke")
    assert a_client().get("/api/v1/runs", headers=headers).status_code == 401


def test_only_an_admin_issues_and_revokes_keys(house: House, tenant: UUID) -> None:
    client = signed_in(a_person(tenant, "reviewer", "operator", "finance"), tenant)
    before = everything(tenant)

    client.post("/admin/keys/issue", {"name": "robot", "roles": ["admin"], "once": "x"})
    client.post(f"/admin/keys/{house.key}/revoke")

    assert everything(tenant) == before


def test_a_run_shows_its_children_and_its_parent(house: House, boss: User) -> None:
    child = a_run(house.api)["id"]
    with tenancy.scope(house.tenant):
        Run.objects.filter(pk=child).update(parent_id=house.run)
        Run.objects.filter(pk=house.run).update(state="waiting", reason="children")
    client = signed_in(boss, house.tenant)

    parent = client.get(f"/admin/runs/{house.run}/").content.decode()
    below = client.get(f"/admin/runs/{child}/").content.decode()
    listed = client.get(f"/admin/runs/?parent={house.run}").content.decode()

    assert "1 of the runs it started" in parent
    assert f"/admin/runs/{child}/" in parent
    assert f"/admin/runs/{house.run}/" in below
    assert f"/admin/runs/{child}/" in listed

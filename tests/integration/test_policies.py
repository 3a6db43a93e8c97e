"""Policies as rows: versions, the one in force, and the wall between tenants."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from policy import policies, tenancy
from policy.core.decide import CallRequest, Decision, EffectClass, Principal, decide
from policy.errors import InvalidPolicy, NoTenantScope
from policy.models import AuditEvent, PolicyRule, PolicyVersion, Tenant
from policy.operations.policies import activate, create_version

SMALL = {
    "rules": [
        {"name": "small", "decision": "allow", "tools": "pay.*", "when": "args.amount <= 100"},
        {"name": "rest", "decision": "require_approval", "expires_after": "2h"},
    ]
}


def judged(amount: object, tool: str = "pay.refund") -> Decision:
    call = CallRequest(
        tool=tool,
        version="1",
        arguments={"amount": amount},
        effect=EffectClass.ONCE,
        agent="a",
        principal=Principal(id="p", name="p"),
    )
    return decide(policies.active(), call).decision


def test_a_tenant_without_a_policy_denies_everything(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        assert judged(1) is Decision.DENY


def test_a_version_counts_from_its_activation_on_and_an_older_one_may_return(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        first = create_version(SMALL, note="start")
        assert judged(1) is Decision.DENY
        activate(first)
        assert (judged(1), judged(101)) == (Decision.ALLOW, Decision.REQUIRE_APPROVAL)

        activate(create_version("rules: []"))
        assert judged(1) is Decision.DENY

        activate(first)
        assert judged(1) is Decision.ALLOW


def test_every_change_is_in_the_audit_log(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        version = create_version(SMALL)
        activate(version)
        activate(version)

        events = AuditEvent.objects.filter(subject=f"policy/{version}").order_by("id")
        assert [event.action for event in events] == ["policy.create", "policy.activate"]


def test_a_document_that_cannot_be_used_leaves_nothing_behind(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        with pytest.raises(InvalidPolicy):
            create_version({"rules": [{"name": "a", "decision": "perhaps"}]})

        assert not PolicyVersion.objects.exists()


def test_a_stored_condition_that_no_longer_compiles_allows_nothing(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        version = create_version(SMALL)
        PolicyRule.objects.create(
            policy_id=version,
            name="from another time",
            decision="allow",
            condition="args.amount <=",
            priority=100,
            position=99,
        )
        activate(version)

        assert judged(5000) is not Decision.ALLOW


def test_a_version_is_its_tenants_own(tenant: UUID, other_tenant: UUID) -> None:
    with tenancy.scope(tenant):
        version = create_version(SMALL)
        activate(version)
        policies.active()

    with tenancy.scope(other_tenant):
        with pytest.raises(PolicyVersion.DoesNotExist):
            policies.of_version(version)
        with pytest.raises(PolicyVersion.DoesNotExist):
            activate(version)
        assert judged(1) is Decision.DENY


@pytest.mark.usefixtures("migrated")
def test_nothing_is_judged_outside_of_a_scope() -> None:
    with pytest.raises(NoTenantScope):
        policies.active()
    with pytest.raises(NoTenantScope):
        create_version(SMALL)


def test_an_operator_checks_applies_and_shows_a_file(
    tenant: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules:\n  - {name: read, decision: allow, effects: [read]}\n")
    with tenancy.scope(tenant):
        slug = Tenant.objects.get(pk=tenant).slug

    call_command("policy", "check", str(file))
    with tenancy.scope(tenant):
        call_command("policy", "apply", str(file), tenant=slug, note="first")
        call_command("policy", "show", tenant=slug)

    told = capsys.readouterr().out
    assert "1 rules, all usable" in told
    assert f"policy 1 of {slug} is in force" in told
    assert "effects read  (read)" in told

    file.write_text("rules:\n  - {name: read, decision: perhaps}\n")
    with pytest.raises(CommandError, match="/rules/0/decision"):
        call_command("policy", "check", str(file))

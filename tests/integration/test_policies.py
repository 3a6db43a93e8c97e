"""Policies as rows: versions, the one in force, and the wall between tenants."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from policy import documents, policies, tenancy
from policy.core.rules.approvals import Asked, Reviewer, why_not_decide
from policy.core.rules.decide import CallRequest, Decision, EffectClass, Principal, Verdict, decide
from policy.errors import InvalidPolicy, NoTenantScope, PolicyChanged, PolicyNotDraft
from policy.models import AuditEvent, PolicyRule, PolicyVersion, Tenant
from policy.operations.policies import activate, create_version, edit_draft
from policy.queries import tenant_by_slug

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


def decide_by(version: UUID) -> Verdict:
    call = CallRequest(
        tool="pay.refund",
        version="1",
        arguments={},
        effect=EffectClass.ONCE,
        agent="a",
        principal=Principal(id="p", name="p"),
    )
    return decide(policies.of_version(version), call)


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


def test_terms_of_answers_that_cannot_be_read_let_nobody_decide(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        version = create_version(SMALL)
        PolicyVersion.objects.filter(pk=version).update(answers={"of a later release": True})
        activate(version)

        terms = policies.active().answers

    asked = Asked(terms=terms, groups=frozenset(terms.groups))
    anybody = Reviewer(identity="a", name="ann", groups=frozenset({"privacy"}))
    assert why_not_decide(asked, anybody)


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


def test_a_tenant_is_found_by_its_slug_in_either_role_and_no_other_is(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        slug = Tenant.objects.get(pk=tenant).slug

    found = tenant_by_slug(slug)

    assert found is not None
    assert (found.id, tenant_by_slug(slug[:-1]), tenant_by_slug("%")) == (tenant, None, None)


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


def test_a_draft_is_edited_until_it_is_in_force_and_never_after(tenant: UUID) -> None:
    with tenancy.scope(tenant):
        version = create_version(SMALL)
        edit_draft(version, "rules: [{name: all, decision: allow}]", revision=1)
        assert decide_by(version).decision is Decision.ALLOW
        with pytest.raises(PolicyChanged):
            edit_draft(version, "rules: []", revision=1)
        with pytest.raises(PolicyChanged):
            activate(version, revision=1)

        activate(version, revision=2, reason="tried on Monday's calls")

        with pytest.raises(PolicyNotDraft):
            edit_draft(version, "rules: []")
        assert judged(5000) is Decision.ALLOW
        event = AuditEvent.objects.get(action="policy.activate")
        assert event.detail["reason"] == "tried on Monday's calls"


ANOTHER = """
INSERT INTO policy_policyrule (tenant_id, policy_id, position, priority, name, decision, tools,
    agents, effects, selectors, condition, reason)
  SELECT tenant_id, policy_id, 9, 9, 'new', 'allow', '*', '*', '{}', '{}', '', ''
  FROM policy_policyrule LIMIT 1
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE policy_policyrule SET decision = 'allow'",
        "DELETE FROM policy_policyrule",
        ANOTHER,
        "UPDATE policy_policyversion SET activated_at = NULL",
        """UPDATE policy_policyversion SET answers = '{"expires_after": "1s"}'""",
    ],
)
def test_the_database_itself_keeps_rules_that_were_in_force(tenant: UUID, statement: str) -> None:
    with tenancy.scope(tenant):
        activate(create_version(SMALL))
        with (
            pytest.raises(DatabaseError, match="never change"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_rules_come_out_of_their_rows_as_they_were_written(tenant: UUID) -> None:
    rule = {
        "name": "weekdays",
        "decision": "require_approval",
        "tools": "mail.* desk.*",
        "risks": ["high"],
        "egress": True,
        "arguments": {"to": {"each": {"like": ["*@example.com"]}}, "amount": {"at_most": 0.1}},
        "times": [{"days": ["mon"], "from": "09:00", "zone": "Europe/Berlin"}],
        "spent": {"at_most": 5},
        "scopes": ["mail:send"],
        "when": "calls < 10",
        "expires_after": "15m",
        "priority": 7,
        "reason": "seldom",
    }
    approval = {"groups": ["privacy"], "escalate": [{"after": "30m", "groups": ["leads"]}]}
    written = {"rules": [rule], "answers": {"expires_after": "4h", "approval": approval}}
    with tenancy.scope(tenant):
        version = create_version(written)
        document = policies.document_of(PolicyVersion.objects.get(pk=version))

    assert document == documents.read(written)

"""Answers over PostgreSQL: the tenant's own secrets, others' ids, and its settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from gateway.operations.add_endpoint import add_endpoint
from policy import tenancy
from policy.core.actor import SYSTEM
from policy.errors import InvalidSetting
from policy.models import AuditEvent
from policy.operations.set_tenant import set_answers
from runs.agents import Context, Program
from tests.http import Api, a_run, an_agent
from tests.integration.desk_agents import of
from tests.integration.engine_room import Room

KEY = "a-key-that-nobody-guesses"


def a_teller(says: Any) -> Program:
    async def tell(_: Context) -> dict[str, Any]:
        return {"output": says}

    return of(tell, name="teller")


def with_key(room: Room) -> None:
    with room.scope():
        add_endpoint("vendor", provider="openai", base_url="https://m.example", api_key=KEY)


def test_a_key_of_the_tenants_own_does_not_leave_and_the_event_says_so(room: Room) -> None:
    with_key(room)
    run_id = room.play(a_teller(f"the key is {KEY}"))

    assert room.output(run_id) == "the key is [secret removed]"
    assert "answer.checked" in room.events(run_id)


def test_another_tenants_key_is_no_secret_of_ours_and_its_ids_do_not_leave(
    room: Room, other_tenant: UUID
) -> None:
    an_agent(other_tenant)
    theirs = a_run(Api(other_tenant))["id"]
    an_agent(UUID(room.ground.tenant))
    ours = a_run(Api(UUID(room.ground.tenant)))["id"]

    run_id = room.play(a_teller({"runs": [theirs, ours]}))

    assert room.output(run_id) == {"runs": ["[id removed]", ours]}


def test_what_the_tenant_says_counts_and_is_written_down(room: Room) -> None:
    with_key(room)
    with room.scope():
        set_answers({"secrets": "withhold"}, by=SYSTEM)
        told = AuditEvent.objects.filter(action="tenant.set").latest("id").detail
    run_id = room.play(a_teller(f"the key is {KEY}"))

    assert told["answers"] == {"secrets": "withhold"}
    assert (room.state(run_id), room.output(run_id)) == ("failed", None)
    assert "withheld" in room.error(run_id)


@pytest.mark.parametrize("wanted", [{"secrets": "hide"}, {"jokes": "redact"}, {"": ""}])
def test_a_setting_that_is_none_is_refused(tenant: UUID, wanted: dict[str, str]) -> None:
    with tenancy.scope(tenant), pytest.raises(InvalidSetting):
        set_answers(wanted, by=SYSTEM)

"""A tenant is set up from the command line: model, tool server, agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection

from runs.agents import Node, Program, graph
from runs.agents.react import ReactSettings, react
from tests.integration.engine_room import Room
from tests.operator import Operator

SECRET = "sk-not-shown"
OPERATORS: list[Operator] = []


@pytest.fixture
def slug(tenant: UUID) -> str:
    from policy import tenancy
    from policy.models import Tenant

    with tenancy.scope(tenant):
        return Tenant.objects.get(pk=tenant).slug


class Refused(Exception):  # noqa: N818 - what happened
    """The command ended with an error, which it printed."""


@pytest.fixture(scope="module", autouse=True)
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with Operator(tmp_path_factory.mktemp("operator"), {"THE_KEY": SECRET}) as found:
        OPERATORS.append(found)
        yield
        OPERATORS.clear()


def said(*words: str) -> str:
    """Run a command as an operator does: in a process of its own, with the system's role."""
    done = OPERATORS[0].run(*words)
    if done.returncode:
        assert "Traceback" not in done.stderr
        raise Refused(done.stderr)
    return done.stdout


def test_a_model_is_added_listed_and_its_key_is_not_shown(slug: str) -> None:
    added = said(
        *("model", "add", "fast", "--tenant", slug, "--model-id", "any"),
        *("--base-url", "http://127.0.0.1:1/v1", "--key-from", "THE_KEY"),
        *("--input-price", "0.1", "--output-price", "0.2"),
    )

    assert said("model", "list", "--tenant", slug).split() == ["fast", "any", "fast"]
    assert SECRET not in added


def test_a_model_without_a_key_or_a_price_is_refused_with_what_to_do(slug: str) -> None:
    with pytest.raises(Refused, match="put the endpoint's key into NOWHERE"):
        said("model", "add", "m", "--tenant", slug, "--model-id", "x", "--key-from", "NOWHERE")
    with pytest.raises(Refused, match="price"):
        said(
            "model", "add", "m", "--tenant", slug, "--model-id", "no such", "--key-from", "THE_KEY"
        )


def test_a_tool_server_that_is_gone_is_refused_clearly(slug: str) -> None:
    with pytest.raises(Refused, match=r"\S"):
        said("toolserver", "add", "crm", "http://127.0.0.1:1/mcp", "--tenant", slug)
    with pytest.raises(Refused, match=r"crm\.find"):
        said("toolserver", "declare", "crm.find", "--effect", "read", "--tenant", slug)
    assert said("toolserver", "list", "--tenant", slug) == ""


def test_an_agent_without_code_is_added_once(slug: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text("prompt: Help.\nmodel: fast\ntools: [crm.*]\nmax_super_steps: 9\n", "utf-8")
    command = ("agent", "add", "desk", str(file), "--tenant", slug, "--as-version", "1")

    assert "ready" in said(*command)
    with pytest.raises(Refused, match="versions never change"):
        said(*command)


@pytest.mark.parametrize(
    "text", ["[", "prompt: no model", "model: m\nmax_super_steps: 0", "model: m\ncolour: red"]
)
def test_a_definition_that_cannot_be_used_is_refused(slug: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text, "utf-8")

    with pytest.raises(Refused, match=r"agent\.yaml"):
        said("agent", "add", "desk", str(file), "--tenant", slug, "--as-version", "1")


@pytest.mark.usefixtures("slug")
def test_an_unknown_tenant_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'nobody'"):
        said("agent", "add", "desk", str(tmp_path), "--tenant", "nobody", "--as-version", "1")


def test_a_tenant_is_told_how_long_to_keep_history_and_what_it_may_spend(slug: str) -> None:
    first = said("tenant", "set", slug, "--retention-days", "90", "--budget", "12.50")
    raised = said("tenant", "set", slug, "--budget", "20")
    lowered = said("tenant", "set", slug, "--budget", "0.5", "--retention-days", "forever")

    assert "90 days" in first
    assert "12.500000000 USD, 0.000000000 spent" in first
    assert "20.000000000 USD" in raised
    assert "90 days" in raised
    assert "0.500000000 USD" in lowered
    assert "for ever" in said("tenant", "show", slug)
    for wrong in (("--budget", "much"), ("--budget", "-1"), ("--retention-days", "0"), ()):
        with pytest.raises(Refused):
            said("tenant", "set", slug, *wrong)


def test_a_command_raises_by_no_more_than_one_may_alone(slug: str) -> None:
    said("tenant", "set", slug, "--budget", "10", "--raise-alone-up-to", "5")
    said("tenant", "set", slug, "--budget", "13")
    shown = said("tenant", "set", slug, "--budget", "16", "--raise-alone-hours", "48")

    assert "proposed: " in shown
    assert "13.000000000 USD, 0.000000000 spent" in shown
    assert "in 48 hours" in shown
    for wrong in (("--budget", "NaN"), ("--raise-alone-hours", "0")):
        with pytest.raises(Refused):
            said("tenant", "set", slug, *wrong)


def test_a_limit_below_what_is_spent_is_refused_and_a_raise_wakes_who_waits(
    room: Room, slug: str
) -> None:
    said("tenant", "set", slug, "--budget", "0")
    room.model(["Hello."], input_per_million=Decimal(1), output_per_million=Decimal(1))
    run_id = room.play(react("asker", "1", ReactSettings(model="fast")), "Hi")
    paused = room.run(run_id)

    said("tenant", "set", slug, "--budget", "1")
    room.go_on(run_id)

    assert (paused.state, paused.reason) == ("paused", "budget")
    assert room.state(run_id) == "succeeded"
    with pytest.raises(Refused, match="is spent or set aside already"):
        said("tenant", "set", slug, "--budget", "0")


def test_pruning_is_tried_first_and_then_done(room: Room, slug: str) -> None:
    said("tenant", "set", slug, "--retention-days", "1")
    shape = graph(Node(name="main", run=lambda _: {"output": 1}), start="main")
    run_id = room.play(Program(name="short", version="1", graph=shape))
    with room.scope(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET finished_at = finished_at - interval '2 days' WHERE id = %s",
            [run_id],
        )

    told = [
        json.loads(said("prune", "--tenant", slug, *more).splitlines()[-1])
        for more in (("--dry-run",), (), ())
    ]

    assert [line["runs"] for line in told] == [1, 1, 0]
    assert [line["dry_run"] for line in told] == [True, False, False]
    assert told[0] == {**told[1], "dry_run": True}
    assert told[1]["checkpoints"] == 1


def test_a_tenant_begins_with_the_default_policy_unless_told_otherwise(slug: str) -> None:
    said("tenant", "create", f"{slug}-a")
    said("tenant", "create", f"{slug}-b", "--no-policy")

    assert "asked for, value by value" in said("policy", "show", "--tenant", f"{slug}-a")
    assert "everything is denied" in said("policy", "show", "--tenant", f"{slug}-b")

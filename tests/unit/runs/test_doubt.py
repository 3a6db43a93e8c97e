"""A call in doubt: its tool's reconcile hook is asked first, and a person where it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from policy.core.outcomes import ErrorClass
from runs.agents import Context, Node, Program, RetryPolicy, graph
from runs.core.recorded.travel import Stands, stands
from runs.testing import Played, play
from tools.registry import CannotTell, Happened, NotHappened, ToolContext, ToolError, tool


@dataclass
class Bank:
    """The service behind the tool: what was transferred under which key, and how it answers."""

    booked: dict[str, str] = field(default_factory=dict)
    transfers: int = 0
    looks: list[str] = field(default_factory=list)
    answers_break: int = 0
    requests_break: int = 0
    hook: Any = None


bank = Bank()


def look(arguments: Mapping[str, Any], call: ToolContext) -> Any:
    """Look the transfer up by its key."""
    bank.looks.append(call.idempotency_key)
    if bank.hook is not None:
        return bank.hook(arguments, call)
    if call.idempotency_key in bank.booked:
        return Happened(bank.booked[call.idempotency_key])
    return NotHappened()


def transfer(amount: int, call: ToolContext) -> str:
    """Transfer money."""
    if bank.requests_break > 0:
        bank.requests_break -= 1
        raise TimeoutError("nobody answered")
    bank.transfers += 1
    bank.booked[call.idempotency_key] = f"transferred {amount}"
    if bank.answers_break > 0:
        bank.answers_break -= 1
        raise ConnectionError("cut off")
    return bank.booked[call.idempotency_key]


tool("bank.transfer", effect="once", risk="low", timeout=20, reconcile=look)(transfer)
tool("bank.deposit", effect="idempotent", risk="low", timeout=20, reconcile=look)(transfer)


def agent_of(name: str) -> Program:
    async def run(ctx: Context) -> dict[str, Any]:
        return {"output": await ctx.tool(name, amount=5)}

    node = Node(name="main", run=run, retry=RetryPolicy(max_attempts=3))
    shape = graph(node, start="main")
    return Program(name="mover", version="1", graph=shape, tools=("bank.*",))


def moved(name: str = "bank.transfer", *, deaths: Any = (), **change: Any) -> Played:
    """Play from an empty bank that behaves so."""
    bank.__init__(**change)  # type: ignore[misc]
    return play(agent_of(name), None, crash_before_write=deaths)


def answers(played: Played) -> list[str]:
    """What the ledger has of the hook's answers."""
    row = next(iter(played.store.runs["run-1"].effects.values()))
    return [entry["reconcile"] for entry in row.attempts if "reconcile" in entry]


def test_what_happened_is_found_by_the_hook_and_nobody_is_asked() -> None:
    played = moved(answers_break=1)

    assert (played.state, played.output) == ("succeeded", "transferred 5")
    assert (bank.transfers, len(bank.looks)) == (1, 1)
    assert answers(played) == ["happened"]
    assert "approval.requested" not in [kind for kind, _ in played.events]


def test_not_happened_is_believed_when_the_calls_own_time_is_over() -> None:
    began = moved(requests_break=1)

    assert (began.state, began.output) == ("succeeded", "transferred 5")
    assert bank.transfers == 1
    assert answers(began) == ["not_happened", "not_happened"]
    assert began.clock.now - Played(agent_of("x"), began.world, began._fate).clock.now >= timedelta(
        seconds=20
    )


def test_a_request_that_arrives_late_is_not_made_twice() -> None:
    def late(_: object, call: ToolContext) -> Any:
        if len(bank.looks) == 1:
            bank.transfers += 1
            bank.booked[call.idempotency_key] = "transferred 5"
            return NotHappened()
        return Happened(bank.booked[call.idempotency_key])

    played = moved(requests_break=1, hook=late)

    assert (played.output, bank.transfers) == ("transferred 5", 1)
    assert answers(played) == ["not_happened", "happened"]


def test_a_call_that_never_happens_is_given_up_after_its_attempts() -> None:
    played = moved(requests_break=99)

    assert played.state == "failed"
    assert played.effects[0].attempts == 3
    assert bank.transfers == 0
    assert played.effects[0].outcome["in_doubt"] is False


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (lambda *_: CannotTell("closed"), ["cannot_tell"]),
        (lambda *_: 1 / 0, ["failed"] * 3),
        (lambda *_: "yes", ["failed"] * 3),
        (lambda *_: Happened({"not": "a text"}), ["cannot_tell"]),
    ],
)
def test_a_hook_that_cannot_tell_or_fails_leaves_it_to_a_person(hook: Any, told: list[str]) -> None:
    played = moved(answers_break=1, hook=hook)

    assert (played.state, played.reason) == ("interrupted", "outcome_unknown")
    assert answers(played) == told
    assert "its reconcile hook" in played.approvals[0].reason
    assert played.happened("transferred 5").output == "transferred 5"
    assert bank.transfers == 1


def test_a_hook_is_asked_again_after_a_failure_of_its_own() -> None:
    def shaky(_: object, call: ToolContext) -> Any:
        if len(bank.looks) < 3:
            raise ToolError("busy", error_class=ErrorClass.RATE_LIMITED)
        return Happened(bank.booked[call.idempotency_key])

    played = moved(answers_break=1, hook=shaky)

    assert (played.output, answers(played)) == ("transferred 5", ["failed", "failed", "happened"])


def test_what_a_person_says_after_the_hook_counts() -> None:
    played = moved(requests_break=1, hook=lambda *_: CannotTell())

    assert played.not_happened().output == "transferred 5"
    assert bank.transfers == 1


def test_a_second_doubt_after_a_persons_answer_goes_to_the_hook_again() -> None:
    waits = moved(requests_break=2, hook=lambda *_: CannotTell())
    bank.hook = None

    played = waits.not_happened()

    assert (played.output, bank.transfers) == ("transferred 5", 1)
    assert answers(played) == ["cannot_tell", "not_happened", "not_happened"]


def test_an_idempotent_call_goes_to_its_hook_too_and_is_repeated_where_it_cannot_tell() -> None:
    played = moved("bank.deposit", answers_break=1, hook=lambda *_: CannotTell())

    assert (played.state, played.output) == ("succeeded", "transferred 5")
    assert answers(played) == ["cannot_tell"]
    assert len(set(bank.booked)) == 1


def test_a_crash_before_any_write_repeats_no_transfer_and_asks_nobody() -> None:
    changes: tuple[dict[str, Any], ...] = ({}, {"answers_break": 1}, {"requests_break": 1})
    for change in changes:
        twin = moved(**change)
        for death in range(1, twin.writes + 1):
            played = moved(deaths=death, **change)

            assert (played.state, played.output) == ("succeeded", "transferred 5"), (change, death)
            assert bank.transfers == 1, (change, death)
            assert played.budget.reserved.tool_calls == 0


def test_a_stand_in_without_a_hook_of_its_own_never_asks_the_real_one() -> None:
    def cut(amount: int) -> str:  # noqa: ARG001 - the tool's
        raise ConnectionError

    bank.__init__()  # type: ignore[misc]
    played = play(agent_of("bank.transfer"), None, tools={"bank.transfer": cut})

    assert (played.reason, bank.looks) == ("outcome_unknown", [])


def test_a_stand_in_has_a_hook_where_the_test_gives_one() -> None:
    def cut(amount: int) -> str:  # noqa: ARG001 - the tool's
        raise ConnectionError

    played = play(
        agent_of("bank.transfer"),
        None,
        tools={"bank.transfer": cut},
        hooks={"bank.transfer": lambda *_: Happened("found")},
    )

    assert played.output == "found"


def test_what_a_hook_found_not_to_have_happened_does_not_stand() -> None:
    lost = {"error_class": "outcome_unknown"}
    failed = {"kind": "tool", "effect": "once", "state": "failed"}

    def stand(*attempts: Mapping[str, Any]) -> Stands | None:
        return stands(**failed, error_class="transient_dependency", attempts=attempts)

    assert stand(lost) is Stands.UNKNOWN
    assert stand(lost, {"reconcile": "not_happened"}) is None
    assert stand({"reconcile": "not_happened"}, lost) is Stands.UNKNOWN

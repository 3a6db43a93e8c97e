"""A tool with a price: its money is set aside before a call, and spent if it may have happened."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy.core.money import Amounts, Limits, Unit
from runs.agents import Context, Node, Program, RetryPolicy, graph
from runs.core.lifecycle import FINAL
from runs.testing import Played, play
from tools.errors import InvalidTool
from tools.registry import ToolError, tool

PRICE = Decimal("0.25")
RULES = """
rules:
  - {name: cheap, decision: allow, tools: vendor.*, cost: {at_most: 0.1}}
  - {name: dear, decision: require_approval, tools: vendor.*}
"""


class Vendor:
    """Who is paid by the call."""

    def __init__(self) -> None:
        self.calls = 0
        self.breaks: list[Exception] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.breaks:
            raise self.breaks.pop(0)
        return f"answer {self.calls}"


vendor = Vendor()


@tool("vendor.ask", effect="idempotent", risk="low", price="0.25")
def ask() -> str:
    """Ask the vendor, who honours keys."""
    return vendor()


@tool("vendor.order", effect="once", risk="low", price=0.25)
def order() -> str:
    """Order at the vendor's, who knows no keys."""
    return vendor()


@tool("vendor.free", effect="read", risk="low")
def free() -> str:
    """Read the vendor's page."""
    return vendor()


@pytest.fixture(autouse=True)
def _new_vendor() -> None:
    vendor.calls, vendor.breaks = 0, []


def calling(name: str, times: int = 1, **more: Any) -> Played:
    async def run(ctx: Context) -> dict[str, Any]:
        outcomes = [await ctx.call(name, {}) for _ in range(times)]
        return {"output": [str(getattr(one, "value", "failed")) for one in outcomes]}

    node = Node(name="main", run=run, retry=RetryPolicy(max_attempts=3))
    program = Program(name="buyer", version="1", graph=graph(node, start="main"), tools=("*",))
    return play(program, None, **more)


def spent(played: Played) -> Decimal:
    assert played.budget.reserved == Amounts()
    rows = played.store.runs["run-1"].effects.values()
    assert sum(row.cost for row in rows) == played.budget.spent.cost
    return played.budget.spent.cost


def test_a_call_costs_its_price() -> None:
    played = calling("vendor.ask", times=2)

    assert (played.state, spent(played)) == ("succeeded", 2 * PRICE)
    assert played.budget.spent.tool_calls == 2


def test_a_tool_without_a_price_costs_nothing() -> None:
    assert spent(calling("vendor.free")) == 0


def test_a_call_that_does_not_fit_is_not_made_and_goes_on_after_a_raise() -> None:
    played = calling("vendor.ask", times=3, budget=Limits(cost=Decimal("0.6")))
    before = (played.state, played.reason, vendor.calls, spent(played))

    played.raise_budget(Unit.COST, Decimal("0.15"))

    assert before == ("paused", "budget", 2, Decimal("0.5"))
    assert (played.state, vendor.calls, spent(played)) == ("succeeded", 3, 3 * PRICE)


def test_what_is_known_to_have_done_nothing_costs_nothing() -> None:
    vendor.breaks = [ToolError("no such article")]

    assert spent(calling("vendor.ask")) == 0


def test_each_attempt_that_may_have_happened_costs_the_price_and_is_an_estimate() -> None:
    vendor.breaks = [TimeoutError("nobody answered")]
    played = calling("vendor.ask")

    [row] = played.store.runs["run-1"].effects.values()
    assert (vendor.calls, spent(played), row.estimated) == (2, 2 * PRICE, True)


def test_the_price_is_kept_while_nobody_knows_and_charged_once() -> None:
    vendor.breaks = [TimeoutError("nobody answered")]
    played = calling("vendor.order")
    unknown = (played.reason, spent(played))

    played.happened("ordered")

    assert unknown == ("outcome_unknown", PRICE)
    assert (played.state, spent(played)) == ("succeeded", PRICE)


def test_a_worker_that_dies_before_it_says_what_came_leaves_the_price_spent() -> None:
    whole = calling("vendor.ask")
    for write in range(whole.writes):
        vendor.calls = 0
        played = calling("vendor.ask", crash_before_write=write)
        assert spent(played) == max(1, vendor.calls) * PRICE, write


@pytest.mark.parametrize(
    ("name", "state"), [("vendor.free", "succeeded"), ("vendor.ask", "interrupted")]
)
def test_a_rule_asks_what_a_call_costs(name: str, state: str) -> None:
    assert calling(name, policy=RULES).state == state


@pytest.mark.parametrize("price", ["much", -1, "NaN", "1E-10", float("inf"), "1E11"])
def test_what_is_no_price_is_refused(price: Any) -> None:
    with pytest.raises(InvalidTool, match=r"vendor\.bad"):
        tool("vendor.bad", price=price)(lambda: "no")


class Buying(RuleBasedStateMachine):
    """Calls that are answered, refused, or never answered; workers that die; people who decide."""

    def __init__(self) -> None:
        super().__init__()
        vendor.calls, vendor.breaks = 0, []
        self.made = self.may_have_happened = self.denied = 0

    @initialize(
        wanted=st.lists(st.sampled_from(["vendor.ask", "vendor.order"]), min_size=1, max_size=5),
        plan=st.lists(st.sampled_from(["answers", "refuses", "is silent"]), max_size=8),
        crashes=st.sets(st.integers(0, 20), max_size=2),
    )
    def begin(self, wanted: list[str], plan: list[str], crashes: set[int]) -> None:
        """Begin without money, so that nothing is called before somebody raises the budget."""
        self.plan, self.dies = plan, bool(crashes)

        async def run(ctx: Context) -> dict[str, Any]:
            return {"output": [type(await ctx.call(name, {})).__name__ for name in wanted]}

        node = Node(name="main", run=run, retry=RetryPolicy(max_attempts=3))
        program = Program(name="buyer", version="1", graph=graph(node, start="main"), tools=("*",))
        stand_ins = dict.fromkeys(set(wanted), self.answer)
        self.played = play(
            program,
            None,
            tools=stand_ins,
            budget=Limits(cost=Decimal(0)),
            crash_before_write=crashes,
        )

    def answer(self) -> str:
        """Answer a call, whose price was set aside."""
        assert self.played.budget.reserved.cost == PRICE
        self.made += 1
        does = self.plan.pop(0) if self.plan else "answers"
        if does == "refuses":
            raise ToolError("sold out")
        self.may_have_happened += 1
        if does == "is silent":
            raise TimeoutError("nobody answered")
        return "sold"

    @rule(amount=st.decimals("0.05", "0.6", places=2))
    def raise_budget(self, amount: Decimal) -> None:
        self.played.raise_budget(Unit.COST, amount)

    @precondition(lambda self: self.played.approvals)
    @rule(happened=st.booleans())
    def find_out(self, *, happened: bool) -> None:
        if happened:
            self.played.happened("sold")
        else:
            self.denied += 1
            self.played.not_happened()

    @invariant()
    def never_over_the_limit(self) -> None:
        balance = self.played.budget
        assert balance.spent.cost + balance.reserved.cost <= (balance.limits.cost or 0)
        assert balance.overdraft == Amounts()

    @invariant()
    def what_is_spent_is_what_may_have_happened(self) -> None:
        """What a dead worker was told is not known: its call counts as one that may have been."""
        paid = spent(self.played) / PRICE
        assert self.may_have_happened - self.denied <= paid <= self.made
        if not self.dies and not self.denied:
            assert paid == self.may_have_happened

    def teardown(self) -> None:
        """Whoever has money enough, and answers, sees the end of it."""
        for _ in range(50):
            if self.played.state in FINAL:
                break
            if self.played.approvals:
                self.played.happened("sold")
            else:
                self.played.raise_budget(Unit.COST, PRICE)
        assert self.played.state == "succeeded", self.played.error
        self.never_over_the_limit()
        self.what_is_spent_is_what_may_have_happened()


TestBuying = Buying.TestCase
TestBuying.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)

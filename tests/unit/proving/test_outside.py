"""The outside's ledger: what happens when the same thing is asked twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentops.proving.outside import Ledger


@pytest.mark.parametrize(("effect", "times"), [("read", 0), ("idempotent", 1), ("once", 2)])
def test_a_call_made_twice_happens_as_its_class_says(
    tmp_path: Path, effect: str, times: int
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    call = {"run": "r", "effect": effect, "key": "k", "what": "w"}

    assert ledger.call(call)
    assert ledger.call(call)

    assert sum(row["happened"] for row in ledger.rows()) == times
    assert len(Ledger(tmp_path / "ledger").rows()) == 2


def test_a_shaky_service_fails_at_first_and_happens_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    call = {"run": "r", "effect": "shaky", "key": "k", "what": "w"}

    assert [ledger.call(call) for _ in range(3)] == [False, True, True]
    assert [row["happened"] for row in ledger.rows()] == [0, 1, 0]
    assert ledger.look("k")
    assert not ledger.look("another")

"""Tests of policies: those that ship pass, and one that is wrong says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.errors import InvalidPolicy
from policy.trials import tried

SHIPPED = Path(__file__).parents[3] / "examples/policies/customer_service.tests.yaml"


def test_the_customer_service_policy_does_what_its_tests_say() -> None:
    found = tried(SHIPPED)

    assert [one.name for one in found if not one.passed] == []
    assert len(found) == 16


def test_a_test_that_expects_something_else_fails(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rules: [{name: all, decision: allow}]")
    file = tmp_path / "t.yaml"
    file.write_text(
        "policy: p.yaml\n"
        "tests:\n"
        "  - {name: right, call: {tool: a}, expect: allow, rule: all}\n"
        "  - {name: wrong, call: {tool: a}, expect: deny}\n"
        "  - {name: by another, call: {tool: a}, expect: allow, rule: some}\n"
    )

    assert [one.passed for one in tried(file)] == [True, False, False]


@pytest.mark.parametrize("text", ["tests: []", "policy: gone.yaml\ntests: [{name: a}]", "- : -"])
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(text)

    with pytest.raises(InvalidPolicy):
        tried(file)

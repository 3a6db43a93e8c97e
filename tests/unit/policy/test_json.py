"""Digests name values, not spellings; foreign JSON becomes storable or is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.json import DEEPEST, canonical, digest, parsed, storable

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_a_digest_survives_storage_and_the_order_of_keys(value: Any) -> None:
    stored = json.loads(canonical(value))

    assert canonical(stored) == canonical(value)
    if isinstance(value, dict):
        assert digest(dict(reversed(value.items()))) == digest(value)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (0, -0.0), (10**20, 1e20), ([100], [1e2]), ({"a": 5}, {"a": 5.0})]
)
def test_equal_numbers_have_one_digest_however_they_are_written(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), ("1", 1), (None, ""), (1, 1.5), (["a", "b"], ["ab"]), ("1.0", "1")],
)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("a", "bc") != digest("ab", "c")


@given(values)
def test_what_is_storable_stays_so_and_holds_nothing_that_postgresql_refuses(value: Any) -> None:
    stored = storable(value)

    assert storable(stored) == stored
    text = json.dumps(stored, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in json.dumps(stored)


def test_storable_leaves_good_values_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "ü✓😀"]}

    assert storable(value) == value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a": [float("-inf")]}, object(), {1, 2}, b"x"]
)
def test_what_json_cannot_name_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|deep"):
        storable(value)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[1e999]", '{"a": Infinity}', "[" * 100_000, "[" * (DEEPEST + 2)]
)
def test_what_is_not_strict_json_is_not_parsed(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its message is Python's
        parsed(text)


def test_nested_so_deep_and_no_deeper() -> None:
    fits = "[" * DEEPEST + "]" * DEEPEST

    assert parsed(fits)
    with pytest.raises(ValueError, match="deep"):
        parsed(f"[{fits}]")

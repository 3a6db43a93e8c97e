from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentops.play.records import Effect, EffectError, call_digest, canonical, changed, sha256

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("effect", "before", "after"),
    [
        (Effect("set", ("a", "b"), 1), {"a": {}}, {"a": {"b": 1}}),
        (Effect("set", ("new", "b"), 1), {}, {"new": {"b": 1}}),
        (Effect("set", ("l", 0), 9), {"l": [1]}, {"l": [9]}),
        (Effect("set", ("l", 1), 9), {"l": [1]}, {"l": [1, 9]}),
        (Effect("del", ("a",)), {"a": 1, "b": 2}, {"b": 2}),
        (Effect("del", ("a",)), {}, {}),
        (Effect("del", ("l", 0)), {"l": [1, 2]}, {"l": [2]}),
        (Effect("append", ("l",), 2), {"l": [1]}, {"l": [1, 2]}),
        (Effect("append", ("l",), 2), {}, {"l": [2]}),
        (Effect("inc", ("n",), delta=2), {"n": 1}, {"n": 3}),
        (Effect("inc", ("n",), delta=0.1, digits=2), {"n": 0.2}, {"n": 0.3}),
        (Effect("inc", ("l", 0, "n"), delta=-1), {"l": [{"n": 1}]}, {"l": [{"n": 0}]}),
    ],
)
def test_an_effect_changes_what_it_names(
    effect: Effect, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert changed(before, [effect]) == after


def test_the_records_given_stay_as_they_are() -> None:
    records = {"l": [{"n": 1}]}

    changed(records, [Effect("inc", ("l", 0, "n"), delta=1), Effect("append", ("l",), 2)])

    assert records == {"l": [{"n": 1}]}


@pytest.mark.parametrize(
    "effect",
    [
        Effect("set", ("l", 5), 1),
        Effect("set", ("text", "a"), 1),
        Effect("del", ("l", 5)),
        Effect("append", ("n",), 1),
        Effect("inc", ("text",), delta=1),
        Effect("set", ("l", "x"), 1),
    ],
)
def test_an_effect_on_a_place_that_cannot_be_is_refused_by_name(effect: Effect) -> None:
    with pytest.raises(EffectError, match=str(effect.path[0])):
        changed({"l": [], "n": 1, "text": "t"}, [effect])


def test_append_and_inc_show_when_they_happen_twice() -> None:
    effects = [Effect("append", ("l",), 1), Effect("inc", ("n",), delta=1)]

    assert changed(changed({}, effects), effects) == {"l": [1, 1], "n": 2}


def test_canonical_json_sorts_and_escapes_nothing() -> None:
    assert canonical({"b": 1, "a": "ä森"}) == '{"a":"ä森","b":1}'


@given(JSON)
def test_every_json_value_has_a_digest(value: Any) -> None:
    assert len(sha256(value)) == 64


def test_even_half_a_character_has_a_digest() -> None:
    assert sha256("\ud800") != sha256("\ud801")


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_arguments_does_not_make_another_call(arguments: dict[str, Any]) -> None:
    backwards = dict(reversed(arguments.items()))

    assert call_digest("t", arguments) == call_digest("t", backwards)


def test_numbers_count_by_value_and_truth_is_not_a_number() -> None:
    assert call_digest("t", {"n": [5]}) == call_digest("t", {"n": [5.0]})
    assert call_digest("t", {"n": 1}) != call_digest("t", {"n": True})
    assert call_digest("t", {"n": 2**60}) != call_digest("t", {"n": 2**60 + 1})


def test_what_cannot_be_stored_does_not_make_another_call() -> None:
    assert call_digest("t", {"a\0": "\ud800b"}) == call_digest("t", {"a\ufffd": "\ufffdb"})

"""What stands literally in a text, and what only looks as if it did."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.provenance.literal import Literals

REQUEST = (
    "Pay $1,100.70 to DE89 3704 0044 0532 0130 00 on May 15th 2024 at 3pm, cc Bob <bob@x.com>. "
    "See www.site.com/Page and file #13. Not aa@b.com.evil! Add Alice's card to #general for two "
    "people; 2024-06-01T10:30. Call +49 170 1234567 now. Read /home/me/Report.txt"
)


def said(*texts: Any) -> Literals:
    literals = Literals()
    for text in texts:
        literals.add(text)
    return literals


@pytest.mark.parametrize(
    "value",
    [
        1100.7,
        "1100.70",
        "$1,100.70",
        "DE89370400440532013000",
        "de89 3704 0044 0532 0130 00",
        "2024-05-15",
        "2024-05-15 15:00",
        "2024-05-15T15:00:00",
        "15:00",
        "2024-06-01 10:30",
        "May 15",
        "bob@x.com",
        "BOB@X.COM",
        "bob",
        "https://www.site.com/Page",
        "http://www.site.com/Page/",
        "#general",
        "general",
        "Alice",
        2,
        "+491701234567",
        "/home/me/Report.txt",
        "add alice's card",
    ],
)
def test_what_a_person_wrote_stands_there_in_every_usual_spelling(value: Any) -> None:
    assert said(REQUEST).hold(value) is not None


@pytest.mark.parametrize(
    "value",
    [
        "a@b.com",
        "b@x.com",
        "bob@x.com.evil",
        "bob@x.co",
        "b\u043eb@x.com",  # a Cyrillic letter
        "\uff42ob@x.com",  # a full-width one
        "bob\u200b@x.com",
        "bob@x.com\u202e",
        "\u212a",  # the Kelvin sign
        "https://www.site.com/page",
        "https://www.site.com.evil/Page",
        "https://www.site.com/Page?q=1",
        "https://www.site.com@evil.com/Page",
        "www.site.com",
        "DE89370400440532013001",
        "DE893704004405320130",
        "DE89 3704 0044",
        "370400440532013000",
        1100,
        1100.71,
        "100.70",
        -1100.7,
        15,
        "15",
        2024,
        30,
        "30",
        "2024-05-16",
        "2024-05-15 16:00",
        "/home/me/report.txt",
        "/home/me",
        "Report",
        "the",
        "",
        " ",
        "...",
        None,
        True,
        "1701234567",
        "evil",
    ],
)
def test_what_only_looks_so_does_not(value: Any) -> None:
    assert said(REQUEST).hold(value) is None


def test_keys_of_a_structured_value_are_no_values() -> None:
    literals = said({"evil@x.com": "bob@x.com", "n": [3, True]})

    assert literals.hold("bob@x.com") is not None
    assert literals.hold(3) is not None
    assert literals.hold("evil@x.com") is None


@given(st.text(min_size=1).filter(str.strip), st.text(alphabet="abcxyz019.-_@", min_size=1))
def test_a_token_with_something_added_is_another(token: str, more: str) -> None:
    whole = "bob@example.com"

    assert said(f"mail {whole} now").hold(whole + more.strip(".") + "z") is None
    assert said(f"mail {whole} now").hold("z" + more.strip(".") + whole) is None
    assert said("").hold(token) is None


@given(st.integers(0, 6), st.characters(min_codepoint=0x80))
def test_no_letter_of_another_alphabet_stands_for_a_latin_one(place: int, other: str) -> None:
    word = "account"
    forged = word[:place] + other + word[place + 1 :]

    assert said(f"my {word} is there").hold(forged) is None


def test_a_short_number_is_a_name_only_where_it_is_called_so() -> None:
    file = frozenset({"file"})

    assert said("Share file 13 with me").numbered("13", file)
    assert said("Share the file with the id 13").numbered("13", file)
    assert said("see #13").numbered("13", file)
    assert not said("13 people read files").numbered("13", file)

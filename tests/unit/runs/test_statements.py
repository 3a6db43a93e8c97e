"""What the engine sends to PostgreSQL, as the server reads it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from runs.core.lifecycle import RunState
from runs.statements import AsJson, sent


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ("ünï", "ünï".encode()),
        (RunState.RUNNING, b"running"),
        (7, b"7"),
        (0.25, b"0.25"),
        (True, b"True"),
        ([1, 2], b'{"1","2"}'),
        ((), b"{}"),
        (['say "no" \\ {,}'], b'{"say \\"no\\" \\\\ {,}"}'),
        (AsJson({"a": [None, "\0"]}), b'{"a":[null,"\\u0000"]}'),
    ],
)
def test_arguments_are_written_as_the_server_reads_them(value: Any, read: bytes | None) -> None:
    assert sent(value) == read


def test_a_text_that_would_be_cut_is_refused() -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        sent("before\0after")

"""Processes of the release before find what they ask for on the schema of this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agentops import servers
from agentops.celery import app
from agentops.processes import migrate
from agentops.releases.compare import differences
from agentops.releases.reading import FILE, cannot_be_called, read
from agentops.releases.record import Record

ACCEPTED: dict[str, str] = {}
"""Differences that are in nobody's way, each with the reason why. Emptied with a new record."""
CURE = (
    "The processes of the release before would miss this. Change it in two steps, or, where it is "
    "surely in nobody's way, accept it here with the reason. The record is renewed only when a "
    "release is cut (CONTRIBUTING.md), and freely while none was ever published."
)
CLAIM = "runs_claim(uuid, uuid, text, double precision, integer)"
FUNCTION = "CREATE FUNCTION runs_{} RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'"
REFUSED = "FOR EACH ROW EXECUTE FUNCTION policy_refuse_change()"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database without rows."""
    with servers.scratch(durable=False) as (state, own):
        migrate({**os.environ, **own.environment()}, state / "logs")
        yield own.database_url


@pytest.fixture
def database(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose changes are undone."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def recorded() -> Record:
    return Record.of(FILE.read_text("utf-8"))


def missed(database: psycopg.Connection[Any]) -> list[str]:
    now = read(database, app, app_role=f"{database.info.dbname}_app")
    return differences(recorded(), now)


def test_the_release_before_finds_functions_tables_and_tasks(
    database: psycopg.Connection[Any],
) -> None:
    found = missed(database)

    assert [one for one in found if one not in ACCEPTED] == [], CURE
    assert set(ACCEPTED) <= set(found), "nobody needs to accept this any more"


def test_the_release_before_calls_each_function_as_it_did(
    database: psycopg.Connection[Any],
) -> None:
    assert cannot_be_called(database, recorded().functions) == [], CURE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"DROP FUNCTION {CLAIM}", "function runs_claim("),
        ("ALTER TABLE runs_run ADD more text NOT NULL", "new column runs_run.more is NOT NULL"),
        ("ALTER TABLE runs_run ALTER worker SET NOT NULL", "column runs_run.worker is NOT NULL"),
        ("ALTER TABLE runs_run ALTER priority DROP DEFAULT", "runs_run.priority has no default"),
        ("ALTER TABLE runs_run RENAME reason TO why", "column runs_run.reason is gone"),
        ("ALTER TABLE runs_run ALTER reason TYPE varchar(19)", "runs_run.reason was character"),
        ("ALTER TABLE runs_run ADD CONSTRAINT c CHECK (crashes < 9)", "rule c of runs_run"),
        ("CREATE UNIQUE INDEX i ON runs_signal (name)", "rule i of runs_signal"),
        (
            "ALTER TABLE runs_run ADD more text CONSTRAINT c CHECK (more IS NOT NULL)",
            "rule c of runs_run",
        ),
        ("DROP TABLE runs_workerslots", "table runs_workerslots is gone"),
        (f"CREATE TRIGGER t BEFORE UPDATE ON runs_run {REFUSED}", "rule t of runs_run"),
    ],
)
def test_what_would_be_missed_is_seen_in_a_database(
    database: psycopg.Connection[Any], change: str, said: str
) -> None:
    database.execute(change)

    assert any(said in one for one in missed(database))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE runs_run ADD more text CONSTRAINT c CHECK (more <> '')",
        "ALTER TABLE runs_run ADD more int NOT NULL DEFAULT 3 CONSTRAINT c CHECK (more > 2)",
        "ALTER TABLE runs_run ADD more uuid REFERENCES runs_agent (id)",
        "ALTER TABLE runs_run ALTER worker TYPE text",
    ],
)
def test_what_is_only_added_is_let_pass(database: psycopg.Connection[Any], change: str) -> None:
    database.execute(change)

    assert [one for one in missed(database) if one not in ACCEPTED] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"DROP FUNCTION {CLAIM}", "does not exist"),
        (
            f"DROP FUNCTION {CLAIM}; {FUNCTION.format('claim(uuid, uuid, text, real, int)')}",
            "runs_claim with 5 arguments: it is taken for (uuid, uuid, text, real, integer)",
        ),
        (
            FUNCTION.format("renew(text, json)"),
            "runs_renew with 2 arguments: it is taken for (text, json)",
        ),
        (FUNCTION.format("sent(uuid[])"), "is not unique"),
    ],
)
def test_a_call_that_nobody_or_two_would_answer_is_seen(
    database: psycopg.Connection[Any], change: str, said: str
) -> None:
    database.execute(change)

    (found,) = cannot_be_called(database, recorded().functions)
    assert said in found

"""A database that vanishes without a word, and processes that stand still: nobody hangs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from agentops.env import bounded
from agentops.proving.compare import outside, whole
from agentops.proving.stage import AGENTS, Stage, stage
from agentops.storm.proxy import Proxy
from runs.process import open_pool
from tests.processes import eventually

pytestmark = pytest.mark.timeout(180)
GONE = "3"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Stand before the database server: whatever is started from now on goes this way."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    with Proxy(parts.hostname or "127.0.0.1", parts.port or 5432, postgres=True) as made:
        who = parts.netloc.rpartition("@")[0]
        through = parts._replace(netloc=f"{who}@127.0.0.1:{made.port}")
        monkeypatch.setenv("DATABASE_URL", urlunsplit(through))
        yield made


def busy(stood: Stage) -> bool:
    return len(stood.outside()) >= len(AGENTS) / 2


def test_workers_get_over_a_database_that_vanished_and_repeat_nothing(proxy: Proxy) -> None:
    settings = {
        "AGENTOPS_DATABASE_GONE_SECONDS": GONE,
        "AGENTOPS_IDLE_TRANSACTION_SECONDS": "5",  # the server ends what vanished amid one
        "AGENTOPS_LEASE_SECONDS": "2",
    }
    with stage(settings, workers=2, threads=4) as stood:
        ids = stood.start("vanished")
        assert eventually(lambda: busy(stood), within=30)

        gone = proxy.vanish()
        stood.finish(list(ids.values()), patience=60)
        ends, seen = stood.ends(list(ids.values())), stood.outside()

    assert gone > 2
    assert {agent: ends[run]["state"] for agent, run in ids.items()} == dict.fromkeys(
        AGENTS, "succeeded"
    )
    for end in ends.values():
        for one in whole(end):
            found = outside(one, seen.get(one["run"], ()))
            assert (found.duplicated, found.missing) == (0, 0)


@pytest.mark.usefixtures("room")
def test_the_server_ends_transactions_of_ours_that_stand_still() -> None:
    pool = open_pool(1)
    try:
        with pool.connection() as engine:
            ((hot,),) = engine.execute("SHOW idle_in_transaction_session_timeout").fetchall()
    finally:
        pool.close()
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        ((page,),) = cursor.fetchall()

    assert (hot, page) == ("1min", "1min")


@pytest.mark.usefixtures("room")
def test_no_statement_is_planned_anew_for_each_value() -> None:
    with open_pool(1) as pool, pool.connection() as engine:
        assert engine.execute("SHOW plan_cache_mode").fetchall() == [("force_generic_plan",)]


def test_what_a_url_says_of_its_connections_stays() -> None:
    given = {"tcp_user_timeout": "1", "options": "-c search_path=here"}

    made = bounded(given, gone=12, idle=0.5)

    assert (made["tcp_user_timeout"], made["keepalives_idle"]) == ("1", 4)
    assert made["options"] == "-c idle_in_transaction_session_timeout=500 -c search_path=here"
    assert "options" not in bounded({}, gone=12, idle=0)

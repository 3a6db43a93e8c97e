"""A broker that is full is one that is away: what cannot be sent stays in the outbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentops import servers
from agentops.processes import CHECKOUT
from agentops.servers.accounts import remove_home

pytestmark = pytest.mark.timeout(240)
SENDS = """
import os

import django
import redis

django.setup()

from django.conf import settings

from runs.outbox import send
from runs.ports import Nudge

nudge = Nudge(tenant_id="t", run_id="r")
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    for most in (0, 1, 0):
        client.config_set("maxmemory", most)
        print(len(send([nudge])))
    print(client.llen(f"{settings.REDIS_PREFIX}:runs"))
"""


def test_a_message_that_a_full_broker_refuses_is_not_taken_for_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = os.environ["DATABASE_URL"]
    monkeypatch.delenv("REDIS_URL")
    state = tmp_path / "state"
    try:
        with servers.running(state, database_url=database) as own:
            environment = {
                **os.environ,
                **own.environment(),
                "DJANGO_SETTINGS_MODULE": "agentops.settings",
            }
            ended = subprocess.run(  # noqa: S603 - ours
                [sys.executable, "-c", SENDS],
                cwd=CHECKOUT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
    finally:
        remove_home(state)

    assert ended.stdout.split() == ["1", "0", "1", "2"], ended.stderr

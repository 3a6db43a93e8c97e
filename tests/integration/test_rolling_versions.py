"""A deploy of new code while a run sleeps: real workers, replaced, and a migration of the run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentops.processes import CHECKOUT, ROLE
from agentops.proving.stage import Stage, stage
from tests.processes import eventually

pytestmark = pytest.mark.timeout(600)

MOVER = """
from runs.agents import Context, Migration, agent

@agent("mover", version="{version}", tools=("outside.*",), migrates={migrates})
async def mover(ctx: Context, request: dict) -> str:
    booked = await ctx.tool("outside.book", what="mover book")
    signed = await ctx.tool("outside.sign", what="mover sign")
    return "{version}: " + booked + signed
"""
SAME = '{"1": Migration(same=frozenset({"main"}))}'


def manage(stood: Stage, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command as an operator does; give its exit code and its last line."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *words],
        cwd=CHECKOUT,
        env={**stood.environment, ROLE: "system"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def deploy(stood: Stage) -> None:
    """Replace the nursery, which imported the code of before."""
    stood.supervisor.stop("workers")
    stood.supervisor.start(stood.processes.workers(1, concurrency=2))
    stood.supervisor.wait_ready("workers", timeout=90)


def test_new_code_parks_what_it_cannot_run_and_a_migration_takes_it_on(tmp_path: Path) -> None:
    code = tmp_path / "mover.py"
    code.write_text(MOVER.format(version="1", migrates="None"), "utf-8")
    agents = f"agentops/proving/agents,{tmp_path}"
    with stage({"AGENTOPS_AGENTS": agents}, workers=1, threads=2) as stood:
        run_id = stood.start("deploy", ["mover"])["mover"]

        def seen(name: str) -> Any:
            return stood.ends([run_id])[run_id][name]

        assert eventually(lambda: seen("state") == "interrupted", within=60)
        code.write_text(MOVER.format(version="2", migrates=SAME), "utf-8")
        deploy(stood)
        warned, stranded = manage(stood, "agent", "check")
        stood.ask({"tend": [run_id]})  # approves: the new code looks at the run, and parks it
        assert eventually(lambda: seen("error_class") == "nondeterminism", within=60)
        forth = ("migrateruns", "mover", "--tenant", "proving", "--from", "1", "--to", "2")
        ended, moved = manage(stood, *forth)
        assert eventually(lambda: seen("state") == "succeeded", within=60)

        end = stood.ends([run_id])[run_id]
        happened = [row["what"] for row in stood.outside()[run_id] if row["happened"]]

    assert (warned, stranded["stranded"], stranded["versions"][0]["agent"]) == (1, 1, "mover")
    assert (ended, moved["moved"]) == (0, 1)
    assert end["output"].startswith("2: ")
    assert sorted(happened) == ["mover book", "mover sign"]

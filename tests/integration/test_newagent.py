"""`manage.py newagent`: what it writes works, in memory and through the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from gateway.testing import ScriptedModel
from runs.agents import registry
from tests.integration.engine_room import Room

ROOT = Path(__file__).parents[2]
WITHOUT = {"DJANGO_SETTINGS_MODULE", "AGENTOPS_SECRET_KEY", "DATABASE_URL", "REDIS_URL"}


def write(name: str, folder: Path) -> Path:
    call_command("newagent", name, folder=folder)
    return folder / name


def test_its_own_tests_pass_without_settings_or_servers(tmp_path: Path) -> None:
    made = write("order_desk", tmp_path / "agents")
    environment = {k: v for k, v in os.environ.items() if k not in WITHOUT}

    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(made)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_is_small_and_well_formed(tmp_path: Path) -> None:
    made = write("order_desk", tmp_path)
    files = [str(path) for path in sorted(made.glob("*.py"))]

    for check in (["check", "--select", "E,F,I,UP,B,ANN,SIM,RET"], ["format", "--check"]):
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "ruff", *check, "--line-length", "100", "--isolated", *files],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    assert len((made / "agent.py").read_text().splitlines()) <= 27
    assert sorted(path.name for path in made.iterdir()) == [
        "__init__.py",
        "agent.py",
        "policy.yaml",
        "test_agent.py",
        "tools.py",
    ]


def test_it_runs_through_the_real_engine_under_its_own_policy(room: Room, tmp_path: Path) -> None:
    made = write("late_desk", tmp_path)
    registry.load([tmp_path])
    program = registry.latest("late_desk")
    assert program is not None
    room.apply((made / "policy.yaml").read_text("utf-8"))
    model = room.model(["From 9 to 17."])

    run_id = room.play(program, {"question": "When are you open?"})

    assert room.output(run_id) == {"text": "From 9 to 17.", "sources": ["opening-hours"]}
    assert "open from 9 to 17" in asked(model)


def asked(model: ScriptedModel) -> str:
    return model.heard[0].messages[0]["content"]


WRONG = ["", "A", "Desk", "a-b", "1st", "class", "match", "../up", "a/b", "a" * 41, "tools", "ä"]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"cannot name an agent|means something else"):
        call_command("newagent", name, folder=tmp_path / "agents")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["desk", "desk.py"])
def test_what_is_there_already_is_left_alone(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")

    with pytest.raises(CommandError, match="already there"):
        write("desk", tmp_path)

    assert (tmp_path / there).read_text() == "mine"


def test_it_says_what_can_be_done_next(tmp_path: Path, capsys: Any) -> None:
    made = write("order_desk", tmp_path)

    said = capsys.readouterr().out
    assert f"python -m pytest {made}" in said
    assert f"policy apply {made}/policy.yaml" in said
    assert '"agent": "order_desk"' in said

"""`make setup`: an environment from nothing but Python, and no work when there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_env.py"


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Requirements that need no index: there are none."""
    file = tmp_path / "requirements.txt"
    file.write_text("# nothing yet\n")
    return file


def make_env(folder: Path, *files: Path) -> str:
    made = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(SCRIPT), str(folder), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_an_environment_is_made_once(tmp_path: Path, requirements: Path) -> None:
    env = tmp_path / "env"

    assert "Making" in make_env(env, requirements)
    assert make_env(env, requirements) == ""
    assert (env / "bin" / "python").exists()


def test_changed_requirements_are_installed_into_the_same_environment(
    tmp_path: Path, requirements: Path
) -> None:
    env = tmp_path / "env"
    make_env(env, requirements)
    requirements.write_text("# still nothing\n")

    said = make_env(env, requirements)

    assert "Installing requirements.txt" in said
    assert "Making" not in said


def test_an_interrupted_installation_is_made_anew(tmp_path: Path, requirements: Path) -> None:
    env = tmp_path / "env"
    make_env(env, requirements)
    (env / "agentops-unfinished").touch()

    assert "Making" in make_env(env, requirements)
    assert make_env(env, requirements) == ""


def test_an_environment_whose_python_is_gone_is_made_anew(
    tmp_path: Path, requirements: Path
) -> None:
    env = tmp_path / "env"
    make_env(env, requirements)
    (env / "bin" / "python").unlink()

    assert "Making" in make_env(env, requirements)


def test_an_environment_made_by_hand_is_completed_not_deleted(
    tmp_path: Path, requirements: Path
) -> None:
    env = tmp_path / "env"
    make_env(env, requirements)
    (env / "agentops-installed.json").unlink()
    (env / "mine.txt").touch()

    make_env(env, requirements)

    assert (env / "mine.txt").exists()

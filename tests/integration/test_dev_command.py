"""`make up` as a person sees it: one command, everything up, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentops import process_ids
from agentops.servers.accounts import remove_home
from agentops.supervisor import MARK
from tests.processes import is_alive

ROOT = Path(__file__).resolve().parents[2]
GIVEN = ("DATABASE_URL", "REDIS_URL", "APP_DATABASE_URL", "AGENTOPS_")
PROCESSES = {"postgres", "valkey", "web", "workers", "sweeper", "flower"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    remove_home(folder)


def environment(state: Path) -> dict[str, str]:
    """Name a state folder, and no server: `make up` is to start its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(GIVEN)}
    return {**kept, "AGENTOPS_STATE": str(state)}


def manage(state: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "manage.py", *arguments],
        env={**environment(state), **extra},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def dev(state: Path, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "manage.py", "dev"],
        env=environment(state),
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield started
    finally:
        started.terminate()
        started.communicate()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read what it prints up to a line with these words; fail when it ends before."""
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    pytest.fail(f"it ended without saying {words!r}:\n{printed}")


def status(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manage(state, "status", "--json").stdout)
    return found


def left_behind(state: Path) -> list[int]:
    runs = (state / "run", state / "run" / "servers")
    return [left.pid for run in runs for left in process_ids.carrying(MARK, str(run))]


def artifacts(state: Path, **extra: str) -> dict[str, Any]:
    """Look at the artifacts only, with the environment that this machine has."""
    told = manage(state, "doctor", "--json", "--only", "artifacts", **extra)
    [found] = json.loads(told.stdout)["checks"]
    return dict(found)


def test_one_command_starts_everything_and_a_signal_ends_everything(
    state: Path, tmp_path: Path
) -> None:
    with dev(state) as started:
        printed = read_until(started, "Now:")
        found = status(state)
        doctor = manage(state, "doctor")

        assert "AgentOps dev server is ready" in printed
        assert set(found["processes"]) == PROCESSES
        assert doctor.returncode == 0, doctor.stdout
        assert f"{state / 'artifacts'}; read by worker-" in doctor.stdout
        assert not any((state / "artifacts").iterdir())
        alone = artifacts(state, AGENTOPS_ARTIFACTS=str(tmp_path / "mine"))
        assert "does not find what was written" in alone["detail"]
        assert "AGENTOPS_ARTIFACTS" in alone["cure"]
        for path in ("/api/v1/health", found["sign_in_path"], "/admin/login/"):
            with urllib.request.urlopen(found["web"] + path) as answer:  # noqa: S310 - our own
                assert answer.status == 200

        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=30) == 0

    assert [name for name, pid in found["processes"].items() if is_alive(pid)] == []
    assert left_behind(state) == []
    assert manage(state, "status").returncode == 1


def test_keys_kill_a_worker_and_quit(state: Path) -> None:
    terminal, stdin = pty.openpty()
    with dev(state, stdin) as started:
        read_until(started, "Press k")
        os.write(terminal, b"k")
        assert "killed with SIGKILL" in read_until(started, "takes work again")
        os.write(terminal, b"q")

        assert started.wait(timeout=30) == 0
    os.close(terminal)
    os.close(stdin)


def test_after_everything_was_killed_the_same_command_starts_again(state: Path) -> None:
    with dev(state) as started:
        read_until(started, "Now:")
        before = status(state)
        started.kill()
        for pid in before["processes"].values():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    with dev(state) as again:
        read_until(again, "Now:")
        assert set(status(state)["processes"]) == PROCESSES


def test_two_sessions_run_side_by_side(state: Path, tmp_path: Path) -> None:
    other_state = tmp_path / "other"
    try:
        with dev(state) as one, dev(other_state) as other:
            read_until(one, "Now:")
            read_until(other, "Now:")
            assert status(state)["web"] != status(other_state)["web"]

            one.send_signal(signal.SIGINT)
            assert one.wait(timeout=30) == 0
            assert manage(other_state, "doctor").returncode == 0
    finally:
        remove_home(other_state)


def test_the_demo_ends_by_itself_and_reports_in_one_json_line(state: Path) -> None:
    played = manage(state, "dev", "--demo")

    assert played.returncode == 0, played.stdout + played.stderr
    report = json.loads(played.stdout.splitlines()[-1])
    assert report.keys() == {"runs", "succeeded", "failed", "waiting_for_person", "seconds"}
    assert report["runs"] > 0
    assert not state.exists()


def test_reset_empties_the_state_folder(state: Path) -> None:
    (state / "logs").mkdir(parents=True)
    (state / "secrets.json").write_text("{}")

    done = manage(state, "dev", "--reset-only")

    assert done.returncode == 0, done.stderr
    assert list(state.iterdir()) == [state / "lock"] or list(state.iterdir()) == []


def test_reset_never_empties_a_database_that_was_given(state: Path) -> None:
    refused = manage(state, "dev", "--reset", DATABASE_URL="postgresql://u@127.0.0.1:1/mine")

    assert refused.returncode == 1
    assert "is yours" in refused.stderr


def test_status_and_doctor_say_when_nothing_runs(state: Path) -> None:
    assert "make up" in manage(state, "status").stdout
    assert manage(state, "doctor").returncode == 2


def test_doctor_tells_of_options_that_the_storage_does_not_know(state: Path) -> None:
    told = artifacts(
        state,
        DATABASE_URL="postgresql://u@127.0.0.1:1/none",
        REDIS_URL="redis://127.0.0.1:1/0",
        AGENTOPS_SECRET_KEY="k" * 40,
        AGENTOPS_ARTIFACTS_OPTIONS='{"bucket": "acme"}',
    )

    assert not told["ok"]
    assert "TypeError" in told["detail"]
    assert "AGENTOPS_ARTIFACTS_OPTIONS" in told["cure"]


def test_doctor_names_what_is_ill_and_its_cure(state: Path) -> None:
    ill = manage(
        state,
        *("doctor", "--json"),
        DATABASE_URL="postgresql://u:secret@127.0.0.1:1/none",
        REDIS_URL="redis://127.0.0.1:1/0",
        AGENTOPS_SECRET_KEY="short",
        AGENTOPS_ARTIFACTS=str(Path(__file__) / "below a file"),
    )

    assert ill.returncode == 1, ill.stderr
    assert "secret" not in ill.stdout.replace("secret-key", "")
    checks = {check["name"]: check for check in json.loads(ill.stdout)["checks"]}
    assert not any(check["ok"] for check in checks.values())
    assert all(check["cure"] for check in checks.values())

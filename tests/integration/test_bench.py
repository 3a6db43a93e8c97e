"""The benchmark from its command line, tiny and without its peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentops import process_ids
from agentops.supervisor import MARK
from tests.processes import eventually

ROOT = Path(__file__).resolve().parents[2]


def bench(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", "bench", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=230,
    )


def marked(tmp_path: Path) -> list[int]:
    """Find the processes that still run for a command whose folders lay in `tmp_path`."""
    return [
        who.pid
        for entry in process_ids.PROC.glob("[0-9]*")
        if (who := process_ids.identify(int(entry.name))) and _is_of(entry, tmp_path)
    ]


def _is_of(entry: Path, tmp_path: Path) -> bool:
    try:
        return f"{MARK}={tmp_path}".encode() in (entry / "environ").read_bytes()
    except OSError:
        return False


@pytest.mark.timeout(240)
def test_measures_every_way_of_agentops_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """All three ways commit every super-step that was asked for."""
    done = bench(
        tmp_path,
        *("--runs", "4", "--steps", "3", "--rounds", "1", "--peers", "none", "--workers", "1x2"),
        *("--longest", "20", "--waiting", "20", "--plot", str(tmp_path / "growth.svg")),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures["results"]) == {"burst", "strict", "effects"}
    assert all(found["steps_per_second"] > 0 for found in figures["results"].values())
    assert all(found["cpu_ms_per_step"] > 0 for found in figures["results"].values())
    assert "langgraph_ratio" not in figures
    assert set(figures["growth"]["bytes_per_run"]["burst"]) == {"2", "6", "20"}
    assert figures["w2"]["results"]["waits"]["in_flight"] == 20
    assert figures["resume"]["ms"]["agentops"] > 0
    assert figures["latency"]["step_ms"]["burst"] > 0
    assert (tmp_path / "growth.svg").read_text().startswith("<svg")
    assert eventually(lambda: not marked(tmp_path))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("agentops-")]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--runs", "0"),
        ("--workers", "2by8"),
        ("--langgraph", "0x4"),
        ("--peers", "nobody"),
        ("--workloads", "w9"),
    ],
)
def test_refuses_what_it_cannot_play(tmp_path: Path, wrong: tuple[str, str]) -> None:
    done = bench(tmp_path, *wrong)

    assert done.returncode == 2
    assert wrong[0] in done.stderr

"""Imports point one way, and the contracts that say so notice when they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("agentops", "runs", "tools", "gateway", "policy")
LINT: Final = "from importlinter.cli import lint_imports_command as run; run()"

IMPURE: Final = ("django.db", "celery", "redis", "structlog", "os", "time", "random", "asyncio")
CRIMES: Final[dict[str, list[str]]] = {
    "runs/core/plan.py": [f"import {name}" for name in IMPURE],
    "policy/core/rules/decide.py": ["import time", "import secrets"],
    "policy/enforce.py": ["import runs.leases"],
    "tools/invoke.py": ["import gateway.complete"],
    "runs/leases.py": ["import agentops.env"],
    "runs/operations/cancel.py": ["import runs.api.runs"],
    "runs/api/runs.py": ["import runs.models"],
    "runs/execute.py": ["import runs.testing"],
    "runs/sweep.py": ["import celery"],
    "runs/helpers.py": [""],
    "policy/documents.py": ["import policy.policies"],
    "policy/policies.py": ["import policy.documents"],
}
"""What nobody may do, by the file in which it is done here."""

CAUGHT: Final = {
    "a core that imports Django": "runs.core.plan -> django",
    "a core that imports Celery": "runs.core.plan -> celery",
    "a core that imports Redis": "runs.core.plan -> redis",
    "a core that logs": "runs.core.plan -> structlog",
    "a core that reads the environment": "runs.core.plan -> os",
    "a core that reads the clock": "runs.core.plan -> time",
    "a core that rolls dice": "runs.core.plan -> random",
    "a core that waits": "runs.core.plan -> asyncio",
    "another core that reads the clock": "policy.core.rules.decide -> time",
    "another core that rolls dice": "policy.core.rules.decide -> secrets",
    "policy that knows runs": "policy.enforce -> runs.leases",
    "tools that know models": "tools.invoke -> gateway.complete",
    "runs that know the composition root": "runs.leases -> agentops.env",
    "an operation that knows the API": "runs.operations.cancel -> runs.api.runs",
    "an interface that touches rows": "runs.api.runs -> runs.models",
    "production that uses test doubles": "runs.execute -> runs.testing",
    "an engine that knows Celery": "runs.sweep -> celery",
    "a drawer for everything": "helpers",
    "a cycle": "No cycles BROKEN",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the contracts say of a copy of the tree in which every one of them is broken."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, crimes in CRIMES.items():
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *crimes, ""]))
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_every_contract_is_kept() -> None:
    done = lint(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_an_impure_core_is_reported(broken: str) -> None:
    assert "Cores are pure BROKEN" in broken


@pytest.mark.parametrize("crime", CAUGHT)
def test_whoever_breaks_a_contract_is_named(broken: str, crime: str) -> None:
    assert CAUGHT[crime] in " ".join(broken.split())


def test_every_contract_can_be_broken(broken: str) -> None:
    assert " 0 kept" in broken

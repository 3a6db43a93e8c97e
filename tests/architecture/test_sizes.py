"""Functions that fit in a head, modules that fit in an hour, cores that fit in a day."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("agentops", "runs", "tools", "gateway", "policy")
CORES: Final = (
    "runs/core",
    "runs/core/recorded",
    "tools/core",
    "gateway/core",
    "policy/core",
    "policy/core/rules",
)

LONGEST_FUNCTION: Final = 60
LONGEST_MODULE: Final = 400
LARGEST_CORE: Final = 1500
"""Lines of what is pure in one folder."""


def modules() -> Iterator[Path]:
    yield ROOT / "manage.py"
    for package in (*PACKAGES, "scripts"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", list(modules()), ids=place)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    long = {
        node.name: length
        for node in functions
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    }

    assert long == {}


@pytest.mark.parametrize("path", list(modules()), ids=place)
def test_a_module_is_about_one_thing(path: Path) -> None:
    assert lines(path) <= LONGEST_MODULE


@pytest.mark.parametrize("core", CORES)
def test_a_core_stays_small(core: str) -> None:
    assert sum(lines(path) for path in (ROOT / core).glob("*.py")) <= LARGEST_CORE

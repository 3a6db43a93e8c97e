"""The compiled requirements are those of pyproject.toml, pinned and hashed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {canonicalize_name(found["name"]): found["version"] for found in PINNED.finditer(text)}


def wanted() -> Iterator[tuple[str, str]]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for line in project["project"]["dependencies"]:
        yield "requirements.txt", line
    for group, name in (("dev", "requirements-dev.txt"), ("bench", "requirements-bench.txt")):
        for line in project["dependency-groups"][group]:
            yield name, line


@pytest.mark.parametrize(("name", "line"), list(wanted()))
def test_every_dependency_is_pinned_to_a_version_that_it_allows(name: str, line: str) -> None:
    requirement = Requirement(line)
    version = pinned(name).get(canonicalize_name(requirement.name))

    assert version is not None, f"{line} is not in {name}: run `make requirements`"
    assert requirement.specifier.contains(version, prereleases=True), (
        f"run `make requirements`: {line}"
    )


def test_packages_in_both_files_have_one_version() -> None:
    runtime, development = pinned("requirements.txt"), pinned("requirements-dev.txt")
    both = runtime.keys() & development.keys()

    assert {name: runtime[name] for name in both} == {name: development[name] for name in both}


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_compiled_files_name_no_index_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert not re.search(r"://|--index|--find-links|file:|/home|/root", text)
    assert "--hash=sha256:" in text

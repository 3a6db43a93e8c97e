"""docker-compose.yml starts what `make up` starts, and what the tests have seen running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agentops import processes, workers

ROOT = Path(__file__).resolve().parents[2]


def services() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = composed["services"]
    return found


def ours(line: tuple[str, ...], **values: str) -> list[str]:
    return ["python", *processes.command(line, **values)[1:]]


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("web", ours(processes.WEB, host="0.0.0.0", port="8000")),  # noqa: S104 - in a container
        (
            "worker",
            ours(
                processes.WORKERS,
                processes=str(workers.PROCESSES),
                concurrency=str(workers.CONCURRENCY),
            ),
        ),
        ("sweeper", ours(processes.SWEEPER)),
        ("flower", ours(processes.FLOWER, host="0.0.0.0", port="5555")),  # noqa: S104 - the same
        ("migrate", ["python", "manage.py", "migrate"]),
    ],
)
def test_a_service_has_the_command_that_is_tested_without_docker(
    service: str, command: list[str]
) -> None:
    assert services()[service]["command"] == command


def test_every_process_of_the_product_is_a_service() -> None:
    assert set(services()) == {
        *("postgres", "redis", "migrate", "web", "worker", "sweeper", "flower")
    }


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert "POSTGRES_PASSWORD:-" not in text
    assert "AGENTOPS_SECRET_KEY:-" not in text

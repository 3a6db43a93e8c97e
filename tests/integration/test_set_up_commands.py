"""A tenant is set up from the command line: model, tool server, agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-not-shown"


@pytest.fixture
def slug(tenant: UUID) -> str:
    from policy import tenancy
    from policy.models import Tenant

    with tenancy.scope(tenant):
        return Tenant.objects.get(pk=tenant).slug


class Refused(Exception):  # noqa: N818 - what happened
    """The command ended with an error, which it printed."""


def said(*words: str) -> str:
    """Run a command as an operator does: in a process of its own, with the system's role."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**os.environ, "THE_KEY": SECRET, "AGENTOPS_DATABASE_ROLE": "system"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert "Traceback" not in done.stderr
        raise Refused(done.stderr)
    return done.stdout


def test_a_model_is_added_listed_and_its_key_is_not_shown(slug: str) -> None:
    added = said(
        *("model", "add", "fast", "--tenant", slug, "--model-id", "any"),
        *("--base-url", "http://127.0.0.1:1/v1", "--key-from", "THE_KEY"),
        *("--input-price", "0.1", "--output-price", "0.2"),
    )

    assert said("model", "list", "--tenant", slug).split() == ["fast", "any", "fast"]
    assert SECRET not in added


def test_a_model_without_a_key_or_a_price_is_refused_with_what_to_do(slug: str) -> None:
    with pytest.raises(Refused, match="put the endpoint's key into NOWHERE"):
        said("model", "add", "m", "--tenant", slug, "--model-id", "x", "--key-from", "NOWHERE")
    with pytest.raises(Refused, match="price"):
        said(
            "model", "add", "m", "--tenant", slug, "--model-id", "no such", "--key-from", "THE_KEY"
        )


def test_a_tool_server_that_is_gone_is_refused_clearly(slug: str) -> None:
    with pytest.raises(Refused, match=r"\S"):
        said("toolserver", "add", "crm", "http://127.0.0.1:1/mcp", "--tenant", slug)
    with pytest.raises(Refused, match=r"crm\.find"):
        said("toolserver", "declare", "crm.find", "--effect", "read", "--tenant", slug)
    assert said("toolserver", "list", "--tenant", slug) == ""


def test_an_agent_without_code_is_added_once(slug: str, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text("prompt: Help.\nmodel: fast\ntools: [crm.*]\nmax_super_steps: 9\n", "utf-8")
    command = ("agent", "add", "desk", str(file), "--tenant", slug, "--as-version", "1")

    assert "ready" in said(*command)
    with pytest.raises(Refused, match="versions never change"):
        said(*command)


@pytest.mark.parametrize(
    "text", ["[", "prompt: no model", "model: m\nmax_super_steps: 0", "model: m\ncolour: red"]
)
def test_a_definition_that_cannot_be_used_is_refused(slug: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text, "utf-8")

    with pytest.raises(Refused, match=r"agent\.yaml"):
        said("agent", "add", "desk", str(file), "--tenant", slug, "--as-version", "1")


@pytest.mark.usefixtures("slug")
def test_an_unknown_tenant_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'nobody'"):
        said("agent", "add", "desk", str(tmp_path), "--tenant", "nobody", "--as-version", "1")

"""The suites that are shipped: nothing gets through, everything can be finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentops.redteam import session
from agentops.redteam.suite import read
from policy import documents

SUITES = Path(__file__).resolve().parents[3] / "examples" / "redteam"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", sorted(SUITES.glob("*.json")), ids=lambda path: path.stem)
def test_nothing_gets_through_and_everything_is_done(path: Path) -> None:
    report = session.play(read(path), documents.named("default"))

    assert (report.through, report.undone, report.remarks) == ([], [], [])
    assert report.done_with_approvals == report.user_tasks
    assert report.pairs > report.injected > 0

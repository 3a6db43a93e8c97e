"""What was learnt of an agent's calls of a tool: the newest calibration of each kind."""

from __future__ import annotations

from policy.calibration import UNUSUAL, Evidence
from policy.models import Calibration


def learnt_of(agent: str, tool: str) -> Evidence:
    """Read what was learnt last in the open scope's tenant; nothing where nobody calibrated."""
    rows = Calibration.objects.filter(agent=agent, tool=tool).order_by("kind", "-created_at")
    newest = {row.kind: row.learnt for row in rows.distinct("kind")}
    unusual = newest.get("unusual", {})
    return Evidence(
        steps=newest.get("confidence", {}).get("steps", ()),
        profile=unusual.get("profile"),
        unusual_from=unusual.get("bound", UNUSUAL),
    )

"""What of its state an agent lets reviewers correct, and what they may put there."""

from __future__ import annotations

from collections.abc import Mapping

from policy.core.json import Json, JsonObject
from runs.core.graph import Graph
from runs.core.recorded.travel import misfit
from tools import schemas


def reviewable_of(graph: Graph) -> dict[str, JsonObject]:
    """Give the schemas of the channels that were declared reviewable, by name."""
    found = {name: channel.reviewable for name, channel in sorted(graph.channels.items())}
    return {name: schema for name, schema in found.items() if schema is not None}


def why_not_correct(graph: Graph, state: Mapping[str, Json]) -> str:
    """Say why a reviewer cannot put this into the state; empty where they can."""
    known = reviewable_of(graph)
    for name, value in state.items():
        if name not in known:
            names = ", ".join(known) or "none"
            return f"channel {name!r} is not reviewable here; reviewable: {names}"
        if wrong := misfit(graph, name, value) or schemas.misfit(known[name], value):
            return f"channel {name!r} does not take this value: {wrong}"
    return ""

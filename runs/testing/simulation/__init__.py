"""Runs under faults, all chance from one seed: the engine's own code on simulated workers."""

from __future__ import annotations

from runs.testing.simulation.bugs import BUGS, NONE, Bug
from runs.testing.simulation.schedule import Played, play
from runs.testing.simulation.twins import learn

__all__ = ["BUGS", "NONE", "Bug", "Played", "learn", "play"]

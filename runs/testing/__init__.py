"""For those who write agents: play one in memory, without servers, settings or a network.

from runs.testing import calls, play

def test_small_refunds_need_nobody():
    played = play("refunds", {"order": 1}, model=[calls(("payments.refund", {...})), "Done."])
    assert played.state == "succeeded"
"""

from gateway.testing import ScriptedModel, calls
from runs.testing.playing import Clock, Effect, Played, play
from runs.testing.rows import ApprovalRow, EffectRow, RunRow
from runs.testing.store import MemoryStore
from runs.testing.world import Call, MemoryWorld

__all__ = [
    "ApprovalRow",
    "Call",
    "Clock",
    "Effect",
    "EffectRow",
    "MemoryStore",
    "MemoryWorld",
    "Played",
    "RunRow",
    "ScriptedModel",
    "calls",
    "play",
]

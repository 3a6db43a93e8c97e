"""One question of a task to the world, from the ledger or for real.

`effect` is the life that all effects share; `tool` and `model` know how each is sent; `timer`
waits; `children` are runs of their own.
"""

from runs.asking.asker import Asker
from runs.asking.children import AskingJoin, AskingSpawn
from runs.asking.effect import Asking
from runs.asking.model import AskingModel
from runs.asking.signal import AskingSignal
from runs.asking.timer import AskingTimer
from runs.asking.tool import AskingTool

__all__ = [
    "Asker",
    "Asking",
    "AskingJoin",
    "AskingModel",
    "AskingSignal",
    "AskingSpawn",
    "AskingTimer",
    "AskingTool",
]

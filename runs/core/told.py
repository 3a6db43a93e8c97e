"""What a run was given and told: what provenance is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.core.json import Json, JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a run was given and told from one super-step up to another: what provenance is made of.

    `given` is the input of the run at the top of its family, None where that was forked and
    changed; `own` a child's own input; `handed` what its parent's ledger says of that. `effects`
    are lines of the ledger on the run's present line, in the order of their places, as objects;
    `skipped` what rewinds left behind. Without `is_whole` there were more than could be read.
    """

    given: Json = None
    own: Json = None
    is_child: bool = False
    is_forked: bool = False
    handed: JsonObject | None = None
    skipped: Sequence[Sequence[int]] = ()
    effects: Sequence[JsonObject] = ()
    is_whole: bool = True

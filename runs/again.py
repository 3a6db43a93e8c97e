"""A store that went away, and what this process still knows: it takes its run again, once.

    statement ──its answer is lost──▶ nobody knows whether it counted
                                         │ what is under way lands; answers are kept in memory
                                         ▼
                                     claim again: settle what is still open of them, and go on
                                     under a new token with what the database says

Nothing of the old lease can be written after that, so it does not matter whether the lost
statement counted, or still will. Nobody crashed, so nothing is counted and nobody waits for the
lease to run out. A run is taken again once for each message: one that costs its worker the store
each time is left to its lease then, and counted as before.
"""

from __future__ import annotations

from runs.leases import LeaseKeeper
from runs.ports import Claimed, Nudge
from runs.shell import Shell


def claim_again(
    shell: Shell, keeper: LeaseKeeper, nudge: Nudge, last: Claimed | None
) -> Claimed | None:
    """Win once more what a message named; `last` is what was won by it, as far as is known.

    None where it goes on without: it ended, waits, or somebody else works at it. Between winning a
    lease and working under it another thread of this process may lose it so, and gives up its work.

    Raises:
        StoreAway: the store is still away.
    """
    whole = Nudge(tenant_id=nudge.tenant_id, run_id=nudge.run_id)
    ours = whole if last is not None and not last.lease.task else nudge
    found = _won(shell, keeper, ours, last)
    if found is None and last is not None and ours.task:  # it was the last one, and won the run
        found = _won(shell, keeper, whole, None)
    return found


def _won(shell: Shell, keeper: LeaseKeeper, nudge: Nudge, last: Claimed | None) -> Claimed | None:
    if keeper.holds(nudge.run_id, nudge.task):
        return None
    lease, known = (None, ()) if last is None else (last.lease, tuple(last.known.values()))
    return shell.store.claim_again(nudge, lease, known, worker=shell.worker, ttl=shell.ttl)

"""Say what a principal may decide: the groups it is in, and up to which risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from policy.audit import record
from policy.core.actor import Actor
from policy.core.rules.approvals import RISKS
from policy.errors import InvalidReviewing, UnknownPrincipal
from policy.models import Principal

MOST_GROUPS: Final = 50
LONGEST: Final = 100


def set_reviewing(
    principal_id: UUID, *, groups: Sequence[str], decides_up_to: str, by: Actor
) -> None:
    """Replace a principal's reviewer groups and the highest risk that it may decide.

    Counts at once, for open questions, too. Nobody changes their own.

    Raises:
        UnknownPrincipal: the scope's tenant has no such principal.
        InvalidReviewing: a group or risk that cannot be, or the caller's own; nothing was changed.
    """
    row = Principal.objects.select_for_update().filter(pk=principal_id).first()
    if row is None:
        raise UnknownPrincipal(f"there is no principal {principal_id}")
    if by.principal_id == str(principal_id):
        raise InvalidReviewing("somebody else says what you may decide")
    if decides_up_to not in RISKS:
        raise InvalidReviewing(f"choose from {', '.join(RISKS)}", "/decides_up_to")
    wanted = sorted({name.strip() for name in groups})
    fits = all(0 < len(name) <= LONGEST and name.isprintable() for name in wanted)
    if not fits or len(wanted) > MOST_GROUPS:
        raise InvalidReviewing(
            f"at most {MOST_GROUPS} names of 1 to {LONGEST} characters", "/groups"
        )
    row.groups, row.decides_up_to = wanted, decides_up_to
    row.save(update_fields=["groups", "decides_up_to"])
    told = {"groups": wanted, "decides_up_to": decides_up_to}
    record(by, "principal.reviewing", f"principal/{principal_id}", told)

"""Make teams, and say who spends with which."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from policy.audit import record
from policy.core.actor import Actor
from policy.errors import InvalidSetting
from policy.models import Principal, Team


def create_team(name: str, *, by: Actor) -> UUID:
    """Make a team in the scope's tenant.

    Raises:
        InvalidSetting: it has no name, or there is one of that name.
    """
    if not name.strip():
        raise InvalidSetting("a team needs a name")
    try:
        with transaction.atomic():
            team = Team.objects.create(id=uuid7(), name=name.strip())
    except IntegrityError:
        raise InvalidSetting(f"there is a team {name!r} already") from None
    record(by, "team.create", f"team/{team.id}", {"name": team.name})
    return team.id


def join_team(principal: str, team: str | None, *, by: Actor) -> None:
    """Let principals of a name spend with a team, or with None, from the runs that begin now on.

    Raises:
        InvalidSetting: there is no such principal or team.
    """
    row = None if team is None else Team.objects.filter(name=team).first()
    if team is not None and row is None:
        raise InvalidSetting(f"there is no team {team!r}; `manage.py team list` shows them")
    changed = Principal.objects.filter(name=principal).update(team=row)
    if not changed:
        raise InvalidSetting(f"there is no principal {principal!r}")
    subject = f"team/{row.id}" if row else "team/none"
    record(by, "team.join", subject, {"principal": principal, "principals": changed})

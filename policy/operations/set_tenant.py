"""Set what holds for a whole tenant: how long history is kept, its share, who raises alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from policy.audit import record
from policy.core import money
from policy.core.actor import Actor
from policy.errors import InvalidSetting
from policy.models import Tenant
from policy.models.tenants import HEAVIEST, LONGEST_COUNT, LONGEST_RETENTION
from policy.provenance.answers import KINDS, Mode

UNBOUNDED = 0
MOST_RUNS = 10**9
MOST_BYTES = 10**18


def set_retention(days: int | None, *, by: Actor) -> None:
    """Say for how many days ended runs of the scope's tenant keep their history; None: for ever.

    What was removed before does not come back.

    Raises:
        InvalidSetting: no such number of days makes sense.
    """
    if days is not None and not 1 <= days <= LONGEST_RETENTION:
        raise InvalidSetting(f"retention is 1 to {LONGEST_RETENTION} days, or for ever")
    tenant = Tenant.locked()
    before, tenant.retention_days = tenant.retention_days, days
    tenant.save(update_fields=["retention_days"])
    record(by, "tenant.set", f"tenant/{tenant.id}", {"retention_days": days, "before": before})


def set_answers(wanted: Mapping[str, str], *, by: Actor) -> None:
    """Say what is done with answers that hold secrets, links or ids; what is left out stays.

    Counts within two seconds, for answers from then on.

    Raises:
        InvalidSetting: there is no such kind, or nothing of the sort is done.
    """
    for kind, mode in wanted.items():
        if kind not in KINDS or mode not in set(Mode):
            raise InvalidSetting(f"say one of {', '.join(KINDS)} and one of {', '.join(Mode)}")
    tenant = Tenant.locked()
    before, tenant.answers = tenant.answers, {**tenant.answers, **wanted}
    tenant.save(update_fields=["answers"])
    record(by, "tenant.set", f"tenant/{tenant.id}", {"answers": tenant.answers, "before": before})


def set_file_quota(most: int | None, *, by: Actor) -> None:
    """Say how many bytes the files of the scope's tenant may have; None: any number.

    Counts from the next file that is written; nothing that is kept is removed.

    Raises:
        InvalidSetting: no such number makes sense.
    """
    if most is not None and not 1 <= most <= MOST_BYTES:
        raise InvalidSetting(f"a quota is 1 to {MOST_BYTES:,} bytes, or none")
    tenant = Tenant.locked()
    before, tenant.max_file_bytes = tenant.max_file_bytes, most
    tenant.save(update_fields=["max_file_bytes"])
    record(by, "tenant.set", f"tenant/{tenant.id}", {"max_file_bytes": most, "before": before})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What a tenant may have of the workers; None leaves a part as it is, `UNBOUNDED` frees it."""

    weight: int | None = None
    max_active: int | None = None
    max_queued: int | None = None


def set_shares(wanted: Shares, *, by: Actor) -> None:
    """Say what share of the workers the scope's tenant has, and how many runs it may have.

    Counts from the next run that is admitted or accepted; nothing that runs is stopped.

    Raises:
        InvalidSetting: nothing is asked for, or a number makes no sense.
    """
    asked = {name: value for name, value in asdict(wanted).items() if value is not None}
    if not asked:
        raise InvalidSetting("give a weight, or a bound on active or queued runs")
    if not 1 <= asked.get("weight", 1) <= HEAVIEST:
        raise InvalidSetting(f"a weight is a whole number from 1 to {HEAVIEST}")
    for name in ("max_active", "max_queued"):
        if not 0 <= asked.get(name, 0) <= MOST_RUNS:
            raise InvalidSetting(f"{name} is a number up to {MOST_RUNS:,}, or no bound")
    tenant = Tenant.locked()
    before = {name: getattr(tenant, name) for name in asked}
    for name, value in asked.items():
        setattr(tenant, name, None if value == UNBOUNDED else value)
    tenant.save(update_fields=list(asked))
    now = {name: getattr(tenant, name) for name in asked}
    record(by, "tenant.set", f"tenant/{tenant.id}", {**now, "before": before})


def set_raise_alone(most: Decimal | None, *, by: Actor) -> None:
    """Say by how many US dollars one person may raise the tenant's budgets; None: any amount.

    Raises:
        InvalidSetting: it is no amount.
    """
    if most is not None and (not most.is_finite() or not 0 <= most <= money.MOST):
        raise InvalidSetting(f"an amount is from 0 to {money.MOST:,}")
    tenant = Tenant.locked()
    tenant.raise_alone_up_to = most
    tenant.save(update_fields=["raise_alone_up_to"])
    said = None if most is None else str(most)
    record(by, "tenant.set", f"tenant/{tenant.id}", {"raise_alone_up_to": said})


def set_raise_hours(hours: int, *, by: Actor) -> None:
    """Say in how many hours all that one person raises alone counts together.

    Raises:
        InvalidSetting: no such number of hours makes sense.
    """
    if not 1 <= hours <= LONGEST_COUNT:
        raise InvalidSetting(f"raises count together in 1 to {LONGEST_COUNT} hours")
    tenant = Tenant.locked()
    before, tenant.raise_alone_hours = tenant.raise_alone_hours, hours
    tenant.save(update_fields=["raise_alone_hours"])
    told = {"raise_alone_hours": hours, "before": before}
    record(by, "tenant.set", f"tenant/{tenant.id}", told)

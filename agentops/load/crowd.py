"""Fills a tenant's line: `python -m agentops.load.crowd`, in the product's environment.

One line of JSON in, one out. It makes two tenants at first and says who they are; then

    {"fill": 200, "input": {...}}     accepts so many runs of the first in one transaction
    {"bound": 9000}                   bounds how many runs of the first may wait
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from agentops.child import say


def main() -> None:
    """Answer lines until there are no more."""
    import django  # noqa: PLC0415 - only this process needs it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    crowd, crowd_key = _tenant("crowd")
    other, other_key = _tenant("other")
    say({"crowd": str(crowd), "crowd_key": crowd_key, "other": str(other), "other_key": other_key})
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "fill" in asked:
            _fill(crowd, asked)
        else:
            _bound(crowd, asked["bound"])
        say({"done": True})


def _tenant(slug: str) -> tuple[UUID, str]:
    from policy import tenancy  # noqa: PLC0415 - needs Django
    from policy.models import Role  # noqa: PLC0415
    from policy.operations.create_principal import create_principal  # noqa: PLC0415
    from policy.operations.create_tenant import create_tenant  # noqa: PLC0415
    from policy.operations.issue_key import issue_key  # noqa: PLC0415

    tenant_id = create_tenant(slug, slug.title(), policy=None)
    with tenancy.scope(tenant_id):
        return tenant_id, issue_key(create_principal(slug, [Role.OPERATOR])).secret


def _fill(tenant_id: UUID, asked: dict[str, Any]) -> None:
    from policy import tenancy  # noqa: PLC0415 - needs Django
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from runs.operations.start import StartRun, start_run  # noqa: PLC0415

    command = StartRun(agent="paces", input=asked["input"], by=SYSTEM)
    with tenancy.scope(tenant_id):
        for _ in range(asked["fill"]):
            start_run(command, now=datetime.now(UTC))


def _bound(tenant_id: UUID, most: int) -> None:
    from policy import tenancy  # noqa: PLC0415 - needs Django
    from policy.core.actor import SYSTEM  # noqa: PLC0415
    from policy.operations.set_tenant import Shares, set_shares  # noqa: PLC0415

    with tenancy.scope(tenant_id):
        set_shares(Shares(max_queued=most), by=SYSTEM)


if __name__ == "__main__":
    main()

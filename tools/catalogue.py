"""Every tool that a tenant's agents may be given: those of the code and of its servers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final
from uuid import UUID

from policy import secrets, tenancy
from policy.core.retry import RetryPolicy
from policy.core.rules.decide import EffectClass, Risk
from policy.errors import SecretUnreadable
from tools import mcp, registry
from tools.core.spec import ToolSpec
from tools.errors import UnknownTool
from tools.models import RemoteTool, ToolServer

LIFE: Final = 2.0
"""Seconds for which a process may go on with what it read."""

_read: dict[UUID, tuple[float, Mapping[str, ToolSpec]]] = {}


def find(name: str) -> ToolSpec:
    """Give the tool of that name in the open scope's tenant; code comes before servers.

    Costs a query at most every `LIFE` seconds. The address of a tool's server is
    remembered by the way, so that `tools.invoke` can call it without a database.

    Raises:
        UnknownTool: there is none, or it is switched off.
        NoTenantScope: no scope is open.
    """
    spec = registry.local().get(name) or _remote().get(name)
    if spec is None:
        raise UnknownTool(name)
    return spec


def specs(patterns: Iterable[str]) -> list[ToolSpec]:
    """List the tools that a grant names, by name; patterns like `desk.*` are allowed.

    A pattern that matches nothing gives nothing: a grant may run ahead of its server.
    """
    wanted = list(patterns)
    every = {**_remote(), **registry.local()}
    return [
        every[name]
        for name in sorted(every)
        if any(fnmatchcase(name, pattern) for pattern in wanted)
    ]


def forget(tenant_id: UUID) -> None:
    """Read a tenant's tools anew at the next question, in this process."""
    _read.pop(tenant_id, None)


def _remote() -> Mapping[str, ToolSpec]:
    tenant_id = tenancy.required("RemoteTool")
    known = _read.get(tenant_id)
    if known is None or known[0] < time.monotonic():
        rows = RemoteTool.objects.select_related("server").filter(enabled=True)
        by_name = {row.name: row for row in rows}
        found = {name: _spec(row, by_name.get(row.reconcile)) for name, row in by_name.items()}
        if found:
            mcp.warm_up()
        known = _read[tenant_id] = (time.monotonic() + LIFE, found)
    return known[1]


def _spec(row: RemoteTool, looks: RemoteTool | None) -> ToolSpec:
    """Read a remote tool; what says whether it happened counts while it is declared to read."""
    _remember(row.server)
    if looks is not None and looks.effect != EffectClass.READ:
        looks = None
    return ToolSpec(
        name=row.name,
        version=row.version,
        description=row.description,
        input_schema=row.input_schema,
        output_schema=row.output_schema,
        effect=EffectClass(row.effect),
        risk=Risk(row.risk),
        egress=row.egress,
        targets=None if row.targets is None else tuple(row.targets),
        trusted=row.trusted,
        reversible=row.reversible,
        timeout=row.timeout_seconds,
        server_id=str(row.server_id),
        remote_name=row.remote_name,
        reconcile="" if looks is None else looks.remote_name,
        compensate=row.compensate,
        measures=row.measures,
        retry=None if row.retry is None else RetryPolicy.of(row.retry),
        price=row.price,
    )


def _remember(server: ToolServer) -> None:
    """Keep a server's address. One whose token cannot be read fails its own calls only."""
    try:
        token = secrets.decrypt(server.tenant_id, bytes(server.secret)) if server.secret else ""
    except SecretUnreadable:
        mcp.forget(str(server.id))
    else:
        mcp.remember(mcp.Address(str(server.id), server.url, token))

"""Ask a tool server what it offers, and keep it. New tools are granted to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from policy import secrets, tenancy
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from policy.core.json import canonical, digest, storable
from policy.core.rules.decide import EffectClass, Risk
from tools import catalogue, mcp, registry, schemas
from tools.errors import InvalidTool
from tools.models import RemoteTool, ToolServer

if TYPE_CHECKING:
    import mcp_types as types

LARGEST_SCHEMA: Final = 64 * 1024
LONGEST_DESCRIPTION: Final = 10_000
_ORDER: Final = list(Risk)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The names that a server's tools are known by now, and why others cannot be used."""

    tools: list[str]
    refused: Mapping[str, str]
    gone: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A tool as its server declares it, made fit to be stored."""

    name: str
    remote_name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    risk: Risk

    @property
    def version(self) -> str:
        return digest(
            self.remote_name,
            self.description,
            dict(self.input_schema),
            dict(self.output_schema) if self.output_schema is not None else None,
        )


def discover(
    server_id: UUID, *, tenant_id: UUID, prefix: str | None = None, by: Actor = SYSTEM
) -> Discovery:
    """Bring a server's tools up to date with what it offers now.

    Names are `<server>.<tool>`, or begin with `prefix` (`""`: the server's own names). A
    new tool counts as `once` until `declare` says better, and one whose declaration
    changed counts as `once` again: it may be another tool by now. The same goes for sending
    data out, which is assumed, and for being reversible, which is not. What the server says of
    itself can only raise a risk. A tool no longer offered, or switched off, stays as it is:
    `gone` names the former, for somebody to decide.

    Must be called outside of any scope: no transaction is open while the server is asked.

    Raises:
        ServerUnreachable: the server did not answer as one; nothing was changed.
        ToolServer.DoesNotExist: the tenant has no such server.
    """
    if tenancy.current() is not None:
        raise RuntimeError("leave the scope first: a server is asked outside of transactions")
    with tenancy.scope(tenant_id):
        server = ToolServer.objects.get(pk=server_id)
    token = secrets.decrypt(tenant_id, bytes(server.secret)) if server.secret else ""
    told = asyncio.run(_ask(mcp.Address(str(server.id), server.url, token)))
    before = f"{server.name}." if prefix is None else prefix
    offers, refused = _usable(told, before)
    with tenancy.scope(tenant_id):
        taken = _keep(server, offers, refused)
        others = RemoteTool.objects.filter(server=server, enabled=True).exclude(name__in=taken)
        gone = sorted(others.values_list("name", flat=True))
        record(
            by,
            "tool_server.discover",
            f"tool_server/{server.id}",
            {"tools": taken, "refused": dict(refused), "gone": gone},
        )
    catalogue.forget(tenant_id)
    return Discovery(taken, refused, gone)


async def _ask(address: mcp.Address) -> list[types.Tool]:
    from tools.mcp.listing import listed  # noqa: PLC0415 - heavy, where it is used

    try:
        return await listed(address)
    finally:
        await mcp.close()


def _usable(told: Iterable[types.Tool], prefix: str) -> tuple[list[_Offer], dict[str, str]]:
    offers: dict[str, _Offer] = {}
    refused: dict[str, str] = {}
    for tool in told:
        name = storable(f"{prefix}{tool.name}")[:200]
        try:
            offer = _offer(tool, registry.checked_name(name))
        except (InvalidTool, ValueError) as error:
            refused[name] = str(storable(str(error)))[:500]
            continue
        if name in offers:
            refused[name] = "the server offers two tools of this name; the first counts"
        else:
            offers[name] = offer
    return list(offers.values()), refused


def _offer(tool: types.Tool, name: str) -> _Offer:
    inputs = storable(tool.input_schema)
    outputs = storable(tool.output_schema) if tool.output_schema is not None else None
    for schema in (inputs, outputs):
        if schema is not None:
            if len(canonical(schema)) > LARGEST_SCHEMA:
                raise InvalidTool(f"its schema is larger than {LARGEST_SCHEMA} bytes")
            schemas.checked_schema(schema, name)
    destroys = tool.annotations is not None and tool.annotations.destructive_hint is True
    return _Offer(
        name=name,
        remote_name=tool.name,
        description=storable(tool.description or "")[:LONGEST_DESCRIPTION],
        input_schema=inputs,
        output_schema=outputs,
        risk=Risk.HIGH if destroys else Risk.MEDIUM,
    )


def _keep(server: ToolServer, offers: list[_Offer], refused: dict[str, str]) -> list[str]:
    """Write the rows, and give the names that this server's tools have."""
    known = {row.name: row for row in RemoteTool.objects.filter(name__in=[o.name for o in offers])}
    kept = []
    for offer in offers:
        row = known.get(offer.name)
        if row is not None and row.server_id != server.id:
            refused[offer.name] = "another server has a tool of this name"
            continue
        if row is None:
            row = RemoteTool(id=uuid7(), server=server, name=offer.name)
        if row.version != offer.version:
            row.effect = EffectClass.ONCE.value
            row.egress, row.reversible = True, None
            row.targets, row.trusted = None, False
            row.risk = _higher(row.risk, offer.risk)
        row.remote_name, row.version = offer.remote_name, offer.version
        row.description = offer.description
        row.input_schema, row.output_schema = offer.input_schema, offer.output_schema
        row.save()
        kept.append(offer.name)
    return kept


def _higher(one: str, other: Risk) -> str:
    return max(Risk(one), other, key=_ORDER.index).value

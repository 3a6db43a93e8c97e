"""A database that goes away while files are counted, or tools listed, is nothing nodes hear of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runs.advance import Advanced, Engine
from runs.agents import Context, SyncContext
from runs.errors import StoreAway
from tests.unit.runs.test_store_away import Office, Priced, office_of
from tools.core.spec import ToolSpec

pytestmark = pytest.mark.timeout(30)


class Uncounted(Priced):
    """A world that is asked once for what its database does not answer."""

    asked = False

    def keep(self, tenant_id: str, data: bytes) -> str:
        self._ask()
        return super().keep(tenant_id, data)

    def tools(self, tenant_id: str, granted: Sequence[str]) -> list[ToolSpec]:
        self._ask()
        return super().tools(tenant_id, granted)

    def _ask(self) -> None:
        if not self.asked:
            self.asked = True
            raise StoreAway("the row of the tenant")


def put_into(office: Office, world: Uncounted) -> None:
    office.world, office.shell = world, replace(office.shell, world=world)
    office.engine = Engine(shell=office.shell, keeper=office.keeper, send=lambda _: None)


async def writing(ctx: Context) -> dict[str, Any]:
    try:
        await ctx.files.write("a", b"one")
    except Exception:  # noqa: BLE001 - as authors of agents write it
        return {"output": "fallback"}
    return {"output": ctx.files.names()}


def writing_at_once(ctx: SyncContext) -> dict[str, Any]:
    try:
        ctx.files.write("a", b"one")
    except Exception:  # noqa: BLE001 - as authors of agents write it
        return {"output": "fallback"}
    return {"output": ctx.files.names()}


async def listing(ctx: Context) -> dict[str, Any]:
    try:
        return {"output": [offer.name for offer in await ctx.door.offers()]}
    except Exception:  # noqa: BLE001 - as authors of agents write it
        return {"output": "fallback"}


@pytest.mark.parametrize(
    ("node", "output"), [(writing, ["a"]), (writing_at_once, ["a"]), (listing, None)]
)
def test_a_node_that_catches_every_error_ends_as_without_a_fault(
    node: Callable[..., Any], output: Any
) -> None:
    with office_of(node) as office:
        given = office.world
        put_into(office, Uncounted(programs=given.programs, stand_ins=given.stand_ins))
        assert office.follow(office.begin()) == [Advanced.ENDED]

        assert office.store.told.count("claim_again") == 1
        listed = [spec.name for spec in given.tools("here", office.program.tools)]
        assert (office.row().state, office.row().output) == ("succeeded", output or listed)

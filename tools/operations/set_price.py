"""Say what a call of a remote tool costs."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from policy.core.actor import Actor
from tools.errors import UnknownTool
from tools.models import RemoteTool
from tools.operations.declare import declare


def set_price(tool_id: UUID, price: Decimal | str, *, by: Actor) -> RemoteTool:
    """Declare a tool's price, in US dollars a call; give the tool as it is then.

    Raises:
        UnknownTool: the scope's tenant has no such remote tool.
        InvalidTool: it is no price; nothing was changed.
    """
    tools = RemoteTool.objects.select_related("server").filter(pk=tool_id)
    row = tools.first()
    if row is None:
        raise UnknownTool(str(tool_id))
    declare(row.name, price=price, by=by)
    return tools.get()

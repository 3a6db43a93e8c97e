"""Register a server of tools, or replace one by its name."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from policy import secrets, tenancy, urls
from policy.audit import record
from policy.core.actor import SYSTEM, Actor
from tools import catalogue
from tools.errors import InvalidServer
from tools.models import ToolServer

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")


def register_server(name: str, url: str, token: str = "", *, by: Actor = SYSTEM) -> UUID:
    """Store where a tool server is in the scope's tenant; give its id.

    Its tools come with `discover`. The token is stored encrypted and shown to nobody again.

    Raises:
        InvalidServer: the name or the URL cannot be used; nothing was stored.
    """
    tenant_id = tenancy.required("ToolServer")
    if NAME.fullmatch(name) is None:
        raise InvalidServer(f"{name!r} must be letters, digits, _ and -, at most 50: tools bear it")
    try:
        checked = urls.checked(url)
    except ValueError as error:
        raise InvalidServer(str(error)) from error
    values = {"url": checked, "secret": secrets.encrypt(tenant_id, token) if token else b""}
    with transaction.atomic():
        server, _ = ToolServer.objects.update_or_create(
            name=name, defaults=values, create_defaults={**values, "id": uuid7()}
        )
        record(
            by,
            "tool_server.save",
            f"tool_server/{server.id}",
            {"name": name, "url": checked, "token": bool(token)},
        )
    catalogue.forget(tenant_id)
    return server.id

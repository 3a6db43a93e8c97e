"""Webhooks as Standard Webhooks has them: signed, bounded, and to public addresses only.

A name is resolved once, and the connection goes to the addresses that were looked at; redirects
are not followed. What the operator allows by AGENTOPS_NOTIFY_HOSTS may be inside.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks.webhooks import Webhook

from policy.notifying.addresses import is_allowed, why_not_address, why_not_url
from policy.notifying.message import Message, Tried

SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
GONE: Final = 410
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Make a secret to sign with, as receivers' libraries want it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def post(
    message: Message, *, now: datetime, allowed: Collection[str], seconds: float = SECONDS
) -> Tried:
    """Send a message, and say what came of it within so many seconds; raises nothing."""
    if why := why_not_url(message.url, allowed):
        return Tried(sent=False, error=why)
    try:
        status = asyncio.run(_post(message, _headers(message, now), allowed, seconds))
    except TimeoutError:
        return Tried(sent=False, error=f"no answer within {seconds:g} seconds")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Tried(sent=False, error=f"{type(error).__name__}: {error}"[:300])
    return _judged(status)


def _judged(status: int) -> Tried:
    if 200 <= status < 300:  # noqa: PLR2004
        return Tried(sent=True, status=status)
    error = f"it answered {status}"
    if 300 <= status < 400:  # noqa: PLR2004
        error += "; redirects are not followed"
    return Tried(sent=False, status=status, error=error, is_gone=status == GONE)


def _headers(message: Message, now: datetime) -> dict[str, str]:
    text = message.body.decode()
    signed = [Webhook(key.reveal()).sign(message.id, now, text) for key in message.secrets]
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signed),
        "content-type": "application/json",
        "user-agent": "AgentOps",
    }


async def _post(
    message: Message, headers: dict[str, str], allowed: Collection[str], seconds: float
) -> int:
    connector = aiohttp.TCPConnector(resolver=_Looking(allowed), limit=1, force_close=True)
    timeout = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_SECONDS, seconds))
    async with (
        aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout
        ) as session,
        session.post(
            message.url, data=message.body, headers=headers, allow_redirects=False
        ) as answer,
    ):
        return answer.status


class _Looking(AbstractResolver):
    """Resolves a name, and refuses it where any of its addresses is inside."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Give the addresses of a name; raises OSError for one that is not public."""
        resolver = aiohttp.ThreadedResolver()
        found = await resolver.resolve(host, port, family)
        if not is_allowed(host, port, self._allowed):
            for one in found:
                if why := why_not_address(one["host"]):
                    raise OSError(errno.EHOSTUNREACH, f"{host} leads inside: {why}")
        return found

    async def close(self) -> None:
        """Hold nothing."""

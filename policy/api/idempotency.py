"""The same request twice is one action with one answer.

    lock the key ─▶ seen before? ─yes─▶ same request? ─yes─▶ the stored answer again
         │               └no─▶ act, store the answer ─┐  └no─▶ refused
         └ taken: still running                        └ one transaction

The answer is stored in the transaction of what it answers for, so that there is never
one without the other. What failed stored nothing and may be tried again with its key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response

from policy import tenancy
from policy.api.authentication import Caller
from policy.api.errors import KeyInUse, KeyMalformed, KeyMissing, KeyReused
from policy.core.json import Json, digest
from policy.models import IdempotentAnswer

HEADER: Final = "Idempotency-Key"
KEPT: Final = timedelta(hours=24)
LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, as it is stored."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False

    def created(self, address: str) -> Answer:
        """Give the same as the answer to who made it, with its address."""
        return replace(self, status=201, headers={**self.headers, "Location": address})

    def response(self) -> Response:
        """Give it to the client, saying whether it was given before."""
        headers = dict(self.headers)
        if self.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(self.body, status=self.status, headers=headers)


def answer_once(
    request: Request, route: str, act: Callable[[], Answer], *, now: datetime
) -> Answer:
    """Act in a scope of the caller's tenant, once per Idempotency-Key and route.

    Raises:
        KeyMissing: the header is not there.
        KeyMalformed: it is not visible ASCII, or too long.
        KeyReused: it came with another body or address before.
        KeyInUse: a request with it is still running.
    """
    key = _key(request)
    asked = digest(request.method, request.path, request.data)
    caller: Caller = request.user  # type: ignore[assignment]
    with tenancy.scope(caller.tenant_id):
        _lock(str(caller.tenant_id), route, key)
        stored = IdempotentAnswer.objects.filter(route=route, key=key).first()
        if stored is not None and stored.created_at > now - KEPT:
            return _again(stored, asked)
        if stored is not None:
            stored.delete()
        answer = act()
        IdempotentAnswer.objects.create(
            route=route,
            key=key,
            digest=asked,
            status=answer.status,
            body=answer.body,
            headers=dict(answer.headers),
        )
    return answer


def _key(request: Request) -> str:
    key = request.headers.get(HEADER)
    if key is None:
        raise KeyMissing(f"send an {HEADER} header: any text that is new for this action")
    key = key.strip()
    if not 1 <= len(key) <= LONGEST or not all("!" <= letter <= "~" for letter in key):
        raise KeyMalformed(f"{HEADER} must be 1 to {LONGEST} visible ASCII characters")
    return key


def _lock(*name: str) -> None:
    number = int(digest(*name)[:15], 16)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        (locked,) = cursor.fetchone()
    if not locked:
        raise KeyInUse(f"a request with this {HEADER} is still running; ask again in a moment")


def _again(stored: IdempotentAnswer, asked: str) -> Answer:
    if stored.digest != asked:
        raise KeyReused(f"this {HEADER} was used for another request; take a new one")
    headers: dict[str, Any] = stored.headers
    return Answer(stored.status, stored.body, headers, replayed=True)

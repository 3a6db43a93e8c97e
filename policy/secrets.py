"""Secrets at rest: encrypted with a key of the tenant's own, derived from SECRET_KEY."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from policy.errors import SecretUnreadable

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_PURPOSE: Final = b"agentops credentials 1"


class Secret:
    """A secret text that shows itself to nobody who does not ask for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text. Hand it on; never log, store or return it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(...)" if self._text else "Secret(empty)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled: it would end up in a queue or a cache")


def encrypt(tenant_id: UUID, plaintext: str) -> bytes:
    """Encrypt a secret of a tenant. Another tenant's key cannot read it."""
    return _cipher(tenant_id, settings.SECRET_KEY).encrypt(plaintext.encode())


def decrypt(tenant_id: UUID, token: bytes) -> str:
    """Read a secret back.

    Raises:
        SecretUnreadable: it was encrypted under another SECRET_KEY, for another tenant,
            or was changed since.
    """
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - heavy, where it is used

    try:
        return _cipher(tenant_id, settings.SECRET_KEY).decrypt(token).decode()
    except InvalidToken:
        raise SecretUnreadable from None


@lru_cache(maxsize=1024)
def _cipher(tenant_id: UUID, secret_key: str) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - heavy, where it is used
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    derived = HKDF(algorithm=SHA256(), length=32, salt=tenant_id.bytes, info=_PURPOSE).derive(
        secret_key.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))

"""What can be wrong with a request before any operation is asked."""

from __future__ import annotations

from collections.abc import Sequence

from policy.errors import PolicyError


class RequestError(PolicyError):
    """Base of what is wrong with a request itself."""


class MalformedBody(RequestError):  # noqa: N818
    """The body is not the JSON text it claims to be."""


class UnusableJson(RequestError):  # noqa: N818
    """The body is JSON, but holds what cannot be stored or what has two readings."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.errors = [(pointer, detail)]


class BodyTooLarge(RequestError):  # noqa: N818
    """The body is longer than this server reads."""


class InvalidFields(RequestError):  # noqa: N818
    """Fields of the body or the query do not fit; each error has its JSON Pointer."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {text}" for pointer, text in errors))
        self.errors = list(errors)


class InvalidCursor(RequestError):  # noqa: N818
    """The cursor was not made by this list."""


class KeyMissing(RequestError):  # noqa: N818
    """A request that starts or decides something came without an Idempotency-Key."""


class KeyMalformed(RequestError):  # noqa: N818
    """The Idempotency-Key is not 1 to 255 visible ASCII characters."""


class KeyReused(RequestError):  # noqa: N818
    """The Idempotency-Key was used with another body or address before."""


class KeyInUse(RequestError):  # noqa: N818
    """A request with this Idempotency-Key is still being carried out."""


class MatchMissing(RequestError):  # noqa: N818
    """The request must say by If-Match which version it was written against."""


class MatchFailed(RequestError):  # noqa: N818
    """If-Match does not name a version that can be current."""

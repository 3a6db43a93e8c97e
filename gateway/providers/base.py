"""What every provider adapter takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.core.messages import ModelRequest
from policy.core.outcomes import ErrorClass
from policy.secrets import Secret

NO_SECRET = Secret("")


@dataclass(frozen=True, slots=True)
class Credential:
    """What an endpoint wants to see before it answers. Its repr shows nothing."""

    api_key: Secret = NO_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request as one endpoint will be asked it."""

    request: ModelRequest
    model_id: str
    base_url: str
    credential: Credential
    key: str
    max_tokens: int
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint answered, before anybody believed it.

    `arguments` of a tool call are text or an object, as they came. Token counts are None
    where the endpoint did not tell them.
    """

    content: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    refusal: str = ""


class CallFailed(Exception):  # noqa: N818 - an outcome on its way, not an error of ours
    """An endpoint gave no answer; `gateway.complete` turns it into a `Failed`.

    `in_doubt` says that it may have worked, and charged, all the same.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        detail: str,
        *,
        in_doubt: bool = False,
        retry_after: float | None = None,
        charged: bool = False,
    ) -> None:
        super().__init__(detail)
        self.error_class, self.detail = error_class, detail
        self.in_doubt, self.retry_after, self.charged = in_doubt, retry_after, charged


class Provider(Protocol):
    """One vendor's protocol."""

    async def ask(self, question: Question) -> Answer:
        """Ask an endpoint once, without retrying.

        Raises:
            CallFailed: there is no answer.
            Exception: anything else counts as an answer that makes no sense.
        """
        ...

"""OpenAI-compatible endpoints: chat completions, written and read by us.

One request is one POST, so what waits for a model is a request and a socket, not an SDK's
layers (docs/adr/0029). Retries are the engine's. The transport tells a request that was never
sent from one that may have arrived.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

import httpx2

from gateway.core.messages import Message, ModelRequest, ToolOffer
from gateway.providers.base import Answer, CallFailed, Question
from policy.core.outcomes import ErrorClass
from policy.egress import AiohttpTransport

DEFAULT_URL: Final = "https://api.openai.com/v1"
CONNECTIONS: Final = 1024
"""To one endpoint; as many runs as a process lets wait, and some that ask more than once."""
MOST_ENDPOINTS: Final = 256
LONGEST_NAME: Final = 64
_SUCCESS: Final = 200
_REDIRECT: Final = 300
_SERVER_ERROR: Final = 500
_BY_STATUS: Final = {
    401: (ErrorClass.AUTH_ERROR, False),
    403: (ErrorClass.AUTH_ERROR, False),
    408: (ErrorClass.TIMEOUT, True),
    409: (ErrorClass.TRANSIENT_DEPENDENCY, True),
    425: (ErrorClass.TRANSIENT_DEPENDENCY, False),
    429: (ErrorClass.RATE_LIMITED, False),
    504: (ErrorClass.TIMEOUT, True),
}
_UNUSABLE: Final = re.compile(r"[^A-Za-z0-9_-]")
_THOUGHT: Final = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
"""What models that think aloud write before their answer."""

_transports: WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[str, AiohttpTransport]] = (
    WeakKeyDictionary()
)


class OpenAI:
    """Asks chat completions of an OpenAI-compatible endpoint."""

    async def ask(self, question: Question) -> Answer:
        """Ask once."""
        try:
            response = await _transport(question).handle_async_request(_request(question))
        except httpx2.HTTPError as error:
            raise _by_connection(error) from error
        if not _SUCCESS <= response.status_code < _REDIRECT:
            raise _by_status(response)
        names = {wire_name(tool.name): tool.name for tool in question.request.tools}
        return _answer(json.loads(response.content), names)


async def close_all() -> None:
    """Close the running loop's connections."""
    for transport in _transports.pop(asyncio.get_running_loop(), {}).values():
        await transport.aclose()


def wire_name(name: str) -> str:
    """Give the name under which a tool is offered: vendors take no dots, and 64 characters."""
    wire = _UNUSABLE.sub("_", name)
    if wire == name and len(name) <= LONGEST_NAME:
        return name
    if len(wire) <= LONGEST_NAME and name.count(".") == wire.count("_"):
        return wire  # only dots were replaced: no other name of ours gives the same
    return f"{wire[: LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _transport(question: Question) -> AiohttpTransport:
    known = _transports.setdefault(asyncio.get_running_loop(), OrderedDict())
    base_url = question.base_url or DEFAULT_URL
    transport = known.get(base_url)
    if transport is None:
        transport = known[base_url] = AiohttpTransport(connections=CONNECTIONS)
        if len(known) > MOST_ENDPOINTS:
            known.popitem(last=False)
    return transport


def _request(question: Question) -> httpx2.Request:
    base_url = (question.base_url or DEFAULT_URL).rstrip("/")
    return httpx2.Request(
        "POST",
        f"{base_url}/chat/completions",
        headers={
            "Authorization": f"Bearer {question.credential.api_key.reveal() or 'none'}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "agentops",
            "Idempotency-Key": quote(question.key, safe="/:-._~#@,="),
        },
        content=json.dumps(_body(question, base_url)).encode(),
        extensions={"timeout": {"read": question.timeout}},
    )


def _body(question: Question, base_url: str) -> dict[str, Any]:
    request = question.request
    at_openai = (urlsplit(base_url).hostname or "").endswith("openai.com")
    body: dict[str, Any] = {
        "model": question.model_id,
        "messages": list(_conversation(request)),
        "max_completion_tokens" if at_openai else "max_tokens": question.max_tokens,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.tools:
        body["tools"] = [_offered(tool) for tool in request.tools]
    return body


def _offered(tool: ToolOffer) -> dict[str, Any]:
    told = {
        "name": wire_name(tool.name),
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": told}


def _conversation(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}
    for message in request.messages:
        yield _translated(message)


def _translated(message: Message) -> dict[str, Any]:
    role, content = message["role"], message["content"]
    if role == "tool":
        known = message.get("tool_call_id", "")
        return {"role": role, "tool_call_id": known, "content": content}
    if role == "assistant" and (calls := message.get("tool_calls")):
        asked = [_asked(call) for call in calls]
        return {"role": role, "content": content or None, "tool_calls": asked}
    return {"role": role, "content": content}


def _asked(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["arguments"]
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": wire_name(call["name"]), "arguments": written}
    return {"id": call["id"], "type": "function", "function": function}


def _answer(body: Any, names: Mapping[str, str]) -> Answer:
    """Read a completion; raises ValueError, TypeError or KeyError where it is none."""
    if "error" in body and "choices" not in body:
        raise ValueError(f"an error in a {_SUCCESS}: {_said(body)}")
    choice = body["choices"][0]
    message = choice["message"]
    usage = body.get("usage") or {}
    read, written = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    told = bool(read or written)
    return Answer(
        content=_content(message.get("content")),
        tool_calls=[_call(call, names) for call in message.get("tool_calls") or ()],
        finish_reason=str(choice.get("finish_reason") or ""),
        model=str(body.get("model") or ""),
        input_tokens=read if told else None,
        output_tokens=written if told else None,
        refusal=str(message.get("refusal") or ""),
    )


def _content(content: Any) -> str:
    """Read a text, or the texts of a list of parts; thoughts are no part of the answer."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError(f"a content is a text, not {type(content).__name__}")
    return _THOUGHT.sub("", content or "")


def _call(call: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    function = call["function"]
    name = str(function["name"])
    arguments = function.get("arguments")
    return {"id": call.get("id") or "", "name": names.get(name, name), "arguments": arguments}


def _count(usage: Mapping[str, Any], name: str) -> int:
    found = usage.get(name)
    return found if isinstance(found, int) else 0


def _by_status(response: httpx2.Response) -> CallFailed:
    status = response.status_code
    default = (
        (ErrorClass.TRANSIENT_DEPENDENCY, True)
        if status >= _SERVER_ERROR
        else (ErrorClass.PERMANENT_DEPENDENCY, False)
    )
    error_class, in_doubt = _BY_STATUS.get(status, default)
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = response.text
    detail = f"the endpoint answered {status}: {_said(body)}"
    return CallFailed(
        error_class, detail, in_doubt=in_doubt, retry_after=_retry_after(response.headers)
    )


def _said(body: object) -> str:
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, Mapping) else inner
    return str(body)[:500]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the seconds to wait; a date is measured against the server's own clock."""
    told = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif told[:1].isdigit():
            seconds = float(told)
        else:
            until, now = parsedate_to_datetime(told), parsedate_to_datetime(headers["date"])
            seconds = (until - now).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < math.inf else None


def _by_connection(error: httpx2.HTTPError) -> CallFailed:
    match error:
        case httpx2.ConnectError():
            return CallFailed(ErrorClass.TRANSIENT_DEPENDENCY, f"not reached: {error}")
        case httpx2.TimeoutException():
            return CallFailed(ErrorClass.TIMEOUT, str(error), in_doubt=True, charged=True)
        case httpx2.DecodingError():
            return CallFailed(ErrorClass.VALIDATION_ERROR, str(error), in_doubt=True, charged=True)
        case _:
            return CallFailed(
                ErrorClass.TRANSIENT_DEPENDENCY,
                f"the connection broke: {error}",
                in_doubt=True,
                charged=True,
            )

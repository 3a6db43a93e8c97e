"""OpenAI-compatible endpoints, through pydantic-ai's direct interface.

Retries are the engine's, so the SDK makes none. One client per endpoint, key and loop, on
a transport that tells a request that was never sent from one that may have arrived.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

import httpx2
from openai import AsyncOpenAI
from pydantic_ai import messages as parts
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelConnectionError, ModelHTTPError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from gateway.core.messages import Message, ModelRequest
from gateway.providers.base import Answer, CallFailed, Question
from policy.core.outcomes import ErrorClass
from policy.egress import AiohttpTransport

DEFAULT_URL: Final = "https://api.openai.com/v1"
CONNECTIONS: Final = 512
MOST_MODELS: Final = 256
LONGEST_NAME: Final = 64
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

_models: WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[Any, OpenAIChatModel]]
_models = WeakKeyDictionary()


class OpenAI:
    """Asks chat completions of an OpenAI-compatible endpoint."""

    async def ask(self, question: Question) -> Answer:
        """Ask once."""
        request = question.request
        names = {wire_name(tool.name): tool.name for tool in request.tools}
        try:
            response = await model_request(
                _model(question),
                list(_conversation(request)),
                model_settings=_settings(question),
                model_request_parameters=ModelRequestParameters(function_tools=_tools(request)),
            )
        except ModelHTTPError as error:
            raise _by_status(error) from error
        except (ModelConnectionError, httpx2.HTTPError) as error:
            raise _by_connection(error) from error
        return _answer(response, names)


async def close_all() -> None:
    """Close the running loop's clients."""
    for model in _models.pop(asyncio.get_running_loop(), {}).values():
        await model.client.close()


def wire_name(name: str) -> str:
    """Give the name under which a tool is offered: vendors take no dots, and 64 characters."""
    wire = _UNUSABLE.sub("_", name)
    if wire == name and len(name) <= LONGEST_NAME:
        return name
    if len(wire) <= LONGEST_NAME and name.count(".") == wire.count("_"):
        return wire  # only dots were replaced: no other name of ours gives the same
    return f"{wire[: LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _model(question: Question) -> OpenAIChatModel:
    models = _models.setdefault(asyncio.get_running_loop(), OrderedDict())
    base_url = question.base_url or DEFAULT_URL
    key = (base_url, question.credential, question.model_id)
    model = models.get(key)
    if model is None:
        client = _client_of(models, base_url, question)
        at_openai = (urlsplit(base_url).hostname or "").endswith("openai.com")
        profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=at_openai)
        model = models[key] = OpenAIChatModel(
            question.model_id, provider=OpenAIProvider(openai_client=client), profile=profile
        )
        if len(models) > MOST_MODELS:
            models.popitem(last=False)
    return model


def _client_of(
    models: Mapping[Any, OpenAIChatModel], base_url: str, question: Question
) -> AsyncOpenAI:
    for (url, credential, _), model in models.items():
        if (url, credential) == (base_url, question.credential):
            return model.client
    return AsyncOpenAI(
        base_url=base_url,
        api_key=question.credential.api_key.reveal() or "none",
        max_retries=0,
        http_client=httpx2.AsyncClient(
            transport=AiohttpTransport(connections=CONNECTIONS),
            timeout=httpx2.Timeout(None),
            trust_env=False,
        ),
    )


def _settings(question: Question) -> OpenAIChatModelSettings:
    settings = OpenAIChatModelSettings(
        max_tokens=question.max_tokens,
        timeout=question.timeout,
        extra_headers={"Idempotency-Key": quote(question.key, safe="/:-._~#@,=")},
    )
    if question.request.temperature is not None:
        settings["temperature"] = question.request.temperature
    return settings


def _tools(request: ModelRequest) -> list[ToolDefinition]:
    return [
        ToolDefinition(
            name=wire_name(tool.name),
            description=tool.description,
            parameters_json_schema=dict(tool.parameters),
            strict=False,  # strict mode would rewrite the schema that arguments are checked by
        )
        for tool in request.tools
    ]


def _conversation(request: ModelRequest) -> Iterable[parts.ModelMessage]:
    if request.system:
        yield parts.ModelRequest(parts=[parts.SystemPromptPart(request.system)])
    for message in request.messages:
        yield _translated(message)


def _translated(message: Message) -> parts.ModelMessage:
    content = message["content"]
    match message["role"]:
        case "assistant":
            said: list[parts.ModelResponsePart] = [parts.TextPart(content)] if content else []
            said += [
                parts.ToolCallPart(
                    wire_name(call["name"]), call["arguments"], tool_call_id=call["id"]
                )
                for call in message.get("tool_calls", ())
            ]
            return parts.ModelResponse(parts=said)
        case "tool":
            result = parts.ToolReturnPart(
                wire_name(message.get("name", "")),
                content,
                tool_call_id=message.get("tool_call_id", ""),
            )
            return parts.ModelRequest(parts=[result])
        case "system":
            return parts.ModelRequest(parts=[parts.SystemPromptPart(content)])
        case "user":
            return parts.ModelRequest(parts=[parts.UserPromptPart(content)])


def _answer(response: parts.ModelResponse, names: Mapping[str, str]) -> Answer:
    details = response.provider_details or {}
    tokens = response.usage
    told = bool(tokens.input_tokens or tokens.output_tokens)
    return Answer(
        content="".join(p.content for p in response.parts if isinstance(p, parts.TextPart)),
        tool_calls=[
            {
                "id": p.tool_call_id,
                "name": names.get(p.tool_name, p.tool_name),
                "arguments": p.args,
            }
            for p in response.parts
            if isinstance(p, parts.ToolCallPart)
        ],
        finish_reason=str(details.get("finish_reason") or response.finish_reason or ""),
        model=response.model_name or "",
        input_tokens=tokens.input_tokens if told else None,
        output_tokens=tokens.output_tokens if told else None,
        refusal=str(details.get("refusal") or ""),
    )


def _by_status(error: ModelHTTPError) -> CallFailed:
    status = error.status_code
    default = (
        (ErrorClass.TRANSIENT_DEPENDENCY, True)
        if status >= _SERVER_ERROR
        else (ErrorClass.PERMANENT_DEPENDENCY, False)
    )
    error_class, in_doubt = _BY_STATUS.get(status, default)
    detail = f"the endpoint answered {status}: {_said(error.body)}"
    return CallFailed(error_class, detail, in_doubt=in_doubt, retry_after=error.retry_after)


def _said(body: object) -> str:
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, Mapping) else inner
    return str(body)[:500]


def _by_connection(error: BaseException) -> CallFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx2.ConnectError):
            return CallFailed(ErrorClass.TRANSIENT_DEPENDENCY, f"not reached: {cause}")
        if isinstance(cause, httpx2.TimeoutException):
            return CallFailed(ErrorClass.TIMEOUT, str(cause), in_doubt=True, charged=True)
        if isinstance(cause, httpx2.DecodingError):
            return CallFailed(ErrorClass.VALIDATION_ERROR, str(cause), in_doubt=True, charged=True)
        cause = cause.__cause__
    return CallFailed(
        ErrorClass.TRANSIENT_DEPENDENCY,
        f"the connection broke: {error}",
        in_doubt=True,
        charged=True,
    )

"""The one door to every model: quote, ask once, and say what came of it and what it cost.

    ModelRequest + Route ──quote──▶ Quote ──(a budget reserves it)──▶ complete ──▶ Done │ Failed

Retries, budgets and the record of answers are the engine's. Nothing here needs a database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.core.messages import ModelRequest
from gateway.core.pricing import cost
from gateway.core.route import Quote, Route
from gateway.providers import provider
from gateway.providers.base import NO_SECRET, Answer, CallFailed, Credential, Question
from policy.core.json import Json, canonical, parsed, storable
from policy.core.money import Amounts
from policy.core.outcomes import Done, ErrorClass, Failed, Outcome, Usage
from policy.foreign import Abandoned, within

BYTES_PER_TOKEN: Final = 2
TOKENS_PER_PART: Final = 8
LONGEST_DETAIL: Final = 2000
MOST_TOOL_CALLS: Final = 128
MOST_TOKENS: Final = 10**9

NO_CREDENTIAL: Final = Credential(NO_SECRET)


def quote(request: ModelRequest, route: Route) -> Quote:
    """Say the worst that a question can cost on a route.

    Input tokens are counted as one for two bytes. Tokenisers make one of about four bytes
    of English and of three of most other scripts, so this errs upwards for any real text
    without needing one tokeniser per vendor; whatever a vendor charges beyond it is booked
    as overdraft. The answer is bounded by `max_tokens`, which the endpoint is held to.
    """
    size = len(canonical([request.system, list(request.messages)]))
    size += sum(
        len(canonical([tool.name, tool.description, tool.parameters])) for tool in request.tools
    )
    framing = TOKENS_PER_PART * (2 + len(request.messages) + len(request.tools))
    read = -(-size // BYTES_PER_TOKEN) + framing
    written = max(min(request.max_tokens, route.max_tokens), 1)
    price = cost(route.price, input_tokens=read, output_tokens=written)
    amounts = Amounts(cost=price, tokens=read + written, model_calls=1)
    return Quote(route=route, input_tokens=read, output_tokens=written, amounts=amounts)


async def complete(
    request: ModelRequest,
    quote: Quote,
    *,
    credential: Credential = NO_CREDENTIAL,
    key: str,
    timeout: float,
) -> Outcome:
    """Ask a model once, and say what came of it.

    `Done.value` is the assistant's message: `{"role", "content", "tool_calls": [{"id",
    "name", "arguments"}], "finish_reason", "model"}`, where `arguments` is an object, or
    the text that the model wrote where that is none. A failure of the provider's is a
    `Failed`, never an exception; one that may have been charged for carries its usage.
    Endpoints that honour `key` answer a repeated question once. Only our own cancellation
    is raised.
    """
    route = quote.route
    seconds = min(timeout, route.timeout)
    if seconds <= 0:
        return Failed(error_class=ErrorClass.TIMEOUT, detail="no time was left to ask")
    question = Question(
        request=request,
        model_id=route.model_id,
        base_url=route.base_url,
        credential=credential,
        key=key,
        max_tokens=quote.output_tokens,
        timeout=seconds,
    )
    try:
        answer = await within(seconds, provider(route.provider).ask(question))
    except Exception as error:  # noqa: BLE001 - a provider's foreign code, whatever it raises
        return _failed(error, quote)
    return _outcome(answer, quote)


async def close() -> None:
    """Close every connection of the running loop; a later question opens new ones."""
    if "gateway.providers.openai" in sys.modules:
        from gateway.providers.openai import close_all  # noqa: PLC0415 - only if it was used

        await close_all()


def _failed(error: Exception, quote: Quote) -> Failed:
    match error:
        case CallFailed():
            found = error
        case TimeoutError():
            found = CallFailed(ErrorClass.TIMEOUT, str(error), in_doubt=True, charged=True)
        case Abandoned():
            found = CallFailed(
                ErrorClass.TRANSIENT_DEPENDENCY, str(error), in_doubt=True, charged=True
            )
        case _:
            told = f"the answer makes no sense: {type(error).__name__}: {error}"
            found = CallFailed(ErrorClass.VALIDATION_ERROR, told, charged=True)
    return Failed(
        error_class=found.error_class,
        detail=str(storable(found.detail))[:LONGEST_DETAIL],
        in_doubt=found.in_doubt,
        retry_after=found.retry_after,
        usage=_estimated(quote, quote.output_tokens) if found.charged else Usage(),
    )


def _outcome(answer: Answer, quote: Quote) -> Outcome:
    usage = _usage(answer, quote)
    try:
        message = _message(answer)
    except (ValueError, TypeError, KeyError) as error:
        return _useless(ErrorClass.VALIDATION_ERROR, f"the answer makes no sense: {error}", usage)
    if message["content"] or message["tool_calls"]:
        return Done(value=message, usage=usage)
    if answer.refusal:
        told = f"the model refused: {answer.refusal}"
        return _useless(ErrorClass.PERMANENT_DEPENDENCY, told, usage)
    told = f"neither text nor tool calls came (finish reason {answer.finish_reason!r})"
    return _useless(ErrorClass.VALIDATION_ERROR, told, usage)


def _useless(error_class: ErrorClass, why: str, usage: Usage) -> Failed:
    """Report an answer that was paid for and cannot be used."""
    return Failed(error_class=error_class, detail=str(storable(why))[:LONGEST_DETAIL], usage=usage)


def _message(answer: Answer) -> dict[str, Any]:
    if len(answer.tool_calls) > MOST_TOOL_CALLS:
        raise ValueError(f"it asks for {len(answer.tool_calls)} tools at once")
    return {
        "role": "assistant",
        "content": storable(answer.content),
        "tool_calls": list(_calls(answer.tool_calls)),
        "finish_reason": storable(answer.finish_reason),
        "model": storable(answer.model),
    }


def _calls(asked: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Json]]:
    seen: set[str] = set()
    for position, call in enumerate(asked):
        name = str(storable(str(call["id"]))) or "call"
        while name in seen:  # results find their call by its id
            name = f"{name}_{position}"
        seen.add(name)
        yield {
            "id": name,
            "name": storable(str(call["name"])),
            "arguments": _arguments(call["arguments"]),
        }


def _arguments(written: Any) -> Json:
    """Read a call's arguments: an object, or the text as it came where it is none."""
    if written is None or written == "":
        return {}
    if not isinstance(written, str):
        return storable(written)
    try:
        value = parsed(written)
    except ValueError:
        return storable(written)
    return value if isinstance(value, dict) else storable(written)


def _usage(answer: Answer, quote: Quote) -> Usage:
    read, written = answer.input_tokens, answer.output_tokens
    if read is None or written is None:
        said = [answer.content, *(str(call) for call in answer.tool_calls)]
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in said)
        return _estimated(quote, -(-size // BYTES_PER_TOKEN))
    return _priced(quote, min(max(read, 0), MOST_TOKENS), min(max(written, 0), MOST_TOKENS))


def _estimated(quote: Quote, written: int) -> Usage:
    written = min(written, quote.output_tokens)
    return replace(_priced(quote, quote.input_tokens, written), estimated=True)


def _priced(quote: Quote, read: int, written: int) -> Usage:
    price = quote.route.price
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cost=cost(price, input_tokens=read, output_tokens=written),
        price_version=price.version,
    )

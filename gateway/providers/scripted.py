"""A model without a network: it plays a script. For the demo, the tests and the benchmarks.

A script is named by the model's `model_id`. It is a list of answers, of which the n-th is
given in the n-th turn of a conversation, or a function of the conversation. Either way the
same conversation gets the same answer, whichever process asks and however often.

    @script("refund-desk")
    def refund_desk(messages, tools):
        return calls(("crm.read", {"customer": "c1"})) if len(messages) == 1 else "Done."
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from gateway.core.messages import Message, ModelRequest, ToolOffer
from gateway.providers.base import Answer, CallFailed, Question
from policy.core.json import canonical
from policy.core.outcomes import ErrorClass, Failed

Line: TypeAlias = str | Mapping[str, Any] | Failed
"""Text, `{"content": ..., "tool_calls": [{"name", "arguments"}]}`, or a failure to give."""

Play: TypeAlias = Callable[[Sequence[Message], Sequence[ToolOffer]], Line | Awaitable[Line]]
Script: TypeAlias = Sequence[Line] | Play
Function = TypeVar("Function", bound=Play)

BYTES_PER_TOKEN: Final = 4

_scripts: dict[str, Script] = {}


def register(name: str, script: Script) -> None:
    """Let models play a script under a name; a later one takes the name over."""
    _scripts[name] = script


def withdraw(name: str) -> None:
    """Forget a script."""
    _scripts.pop(name, None)


def script(name: str) -> Callable[[Function], Function]:
    """Declare a function as a script."""

    def declare(function: Function) -> Function:
        register(name, function)
        return function

    return declare


def calls(*wanted: tuple[str, Mapping[str, Any]], content: str = "") -> Line:
    """Write an answer that asks for tools."""
    asked = [{"name": name, "arguments": dict(arguments)} for name, arguments in wanted]
    return {"content": content, "tool_calls": asked}


class Scripted:
    """Plays scripts."""

    async def ask(self, question: Question) -> Answer:
        """Give the script's line for this turn of the conversation."""
        messages, tools = question.request.messages, question.request.tools
        turn = sum(message["role"] == "assistant" for message in messages)
        line = _line(question.model_id, turn, messages, tools)
        if inspect.isawaitable(line):
            line = await line
        if isinstance(line, Failed):
            raise CallFailed(
                line.error_class,
                line.detail,
                in_doubt=line.in_doubt,
                retry_after=line.retry_after,
            )
        if isinstance(line, str):
            line = {"content": line}
        return _answer(line, turn, question)


def _line(
    name: str, turn: int, messages: Sequence[Message], tools: Sequence[ToolOffer]
) -> Line | Awaitable[Line]:
    found = _scripts.get(name)
    if found is None:
        raise CallFailed(ErrorClass.PERMANENT_DEPENDENCY, f"there is no script named {name!r}")
    if callable(found):
        return found(messages, tools)
    if turn >= len(found):
        raise CallFailed(
            ErrorClass.PERMANENT_DEPENDENCY, f"script {name!r} has no line for turn {turn + 1}"
        )
    return found[turn]


def _answer(line: Mapping[str, Any], turn: int, question: Question) -> Answer:
    tool_calls = [
        {"id": f"call_{turn}_{position}", **asked}
        for position, asked in enumerate(line.get("tool_calls", ()))
    ]
    return Answer(
        content=line.get("content", ""),
        tool_calls=tool_calls,
        finish_reason=line.get("finish_reason", "tool_calls" if tool_calls else "stop"),
        model=question.model_id,
        input_tokens=_read(question.request),
        output_tokens=_tokens([line.get("content", ""), tool_calls]),
    )


def _read(request: ModelRequest) -> int:
    offers = [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    return _tokens([request.system, list(request.messages), offers])


def _tokens(value: Any) -> int:
    return -(-len(canonical(value)) // BYTES_PER_TOKEN)

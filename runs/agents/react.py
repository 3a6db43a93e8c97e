"""The react loop as a graph: think, act on what was asked for, think again.

    think ──tool calls──▶ act, act, act ──▶ think ──no calls──▶ answer

Each tool call of a turn is a task of its own, so one that waits for a person holds up
none of the others; results come back in the order of the calls. An agent version in the
database (prompt, model, tools) runs this graph and needs no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from gateway.core.messages import Message, ModelRequest, ToolCallJson
from policy.core.call import Autonomy
from policy.core.json import Json, JsonObject, canonical
from policy.core.outcomes import Done, ErrorClass, Failed
from policy.provenance.delimit import delimited
from runs.agents.context import Context, ModelFailed
from runs.agents.program import OnExhausted, Program
from runs.core.channels import Channel, Reducer
from runs.core.graph import INPUT, OUTPUT, Node, Send, Step, graph
from runs.core.guards import LoopGuard
from runs.core.recorded.migrate import Migration
from runs.errors import InvalidInput, RunsError

MESSAGES: Final = "messages"


class LoopStopped(RunsError):  # noqa: N818
    """The agent goes in circles: the same calls, with the same results, too often."""

    error_class = ErrorClass.HUMAN_REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactSettings:
    """What a react agent is made of.

    `max_repeats` turns that ask for the same calls and get the same results, one after
    the other, stop the run, or ask a person (`on_loop="ask"`), as `max_super_steps` does.
    """

    prompt: str = ""
    model: str
    tools: tuple[str, ...] = ()
    autonomy: Autonomy = Autonomy.ACT
    on_exhausted: OnExhausted = "pause"
    deadline_stops_for_people: bool = False
    max_super_steps: int = 60
    max_repeats: int = 5
    on_loop: Literal["fail", "ask"] = "fail"
    max_tokens: int = 4096


def settings_of(definition: JsonObject) -> ReactSettings:
    """Read the settings from an agent version's definition.

    Raises:
        InvalidInput: its autonomy, or `on_exhausted`, is none of those known.
    """
    return ReactSettings(
        prompt=definition.get("prompt", ""),
        model=definition["model"],
        tools=tuple(definition.get("tools", ())),
        autonomy=_autonomy(definition.get("autonomy", Autonomy.ACT)),
        on_exhausted=_on_exhausted(definition.get("on_exhausted", "pause")),
        deadline_stops_for_people=bool(definition.get("deadline_stops_for_people", False)),
        max_super_steps=definition.get("max_super_steps", 60),
        max_repeats=definition.get("max_repeats", 5),
        on_loop=definition.get("on_loop", "fail"),
        max_tokens=definition.get("max_tokens", 4096),
    )


def _autonomy(given: Any) -> Autonomy:
    try:
        return Autonomy(given)
    except ValueError:
        known = ", ".join(Autonomy)
        raise InvalidInput([("/autonomy", f"it must be one of {known}")]) from None


def _on_exhausted(given: Any) -> OnExhausted:
    if given not in get_args(OnExhausted):
        known = " or ".join(get_args(OnExhausted))
        raise InvalidInput([("/on_exhausted", f"it must be {known}")])
    return cast("OnExhausted", given)


def react(name: str, version: str, settings: ReactSettings, **options: Any) -> Program:
    """Build the program of a react agent. Its input is a text, or an object with `message`."""

    async def think(ctx: Context) -> Step:
        if settings.on_loop == "fail":
            _guard(list(ctx.state[MESSAGES]), settings.max_repeats)
        messages = _conversation(ctx)
        request = ModelRequest(
            model=settings.model,
            messages=tuple(messages),
            system=settings.prompt,
            tools=await ctx.door.offers(),
            max_tokens=settings.max_tokens,
        )
        outcome = await ctx.ask(request)
        if isinstance(outcome, Failed):
            raise ModelFailed(settings.model, outcome)
        return _turn(ctx, outcome)

    async def act(ctx: Context) -> Mapping[str, Json]:
        call: ToolCallJson = ctx.arg
        return {MESSAGES: [await _result(ctx, call)]}

    return Program(
        name=name,
        version=version,
        graph=graph(
            Node(name="think", run=think),
            Node(name="act", run=act, then=("think",)),
            start="think",
            channels={MESSAGES: Channel(reducer=Reducer.LOG)},
            max_super_steps=settings.max_super_steps,
            guard=LoopGuard(max_repeats=settings.max_repeats, on_loop=settings.on_loop),
        ),
        model=settings.model,
        prompt=settings.prompt,
        tools=settings.tools,
        autonomy=settings.autonomy,
        on_exhausted=settings.on_exhausted,
        deadline_stops_for_people=settings.deadline_stops_for_people,
        accept=_accept,
        input_schema={"type": ["string", "object"]},
        migrates={"*": Migration(same=frozenset({"act"}))},  # what it calls is in its state
        **options,
    )


def _accept(value: Json) -> Json:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and value and isinstance(value.get("message", ""), str):
        return value
    raise InvalidInput([("", "give a text, or an object; its `message`, where it has one, a text")])


def _said(given: Json) -> str:
    """Give what the user says: the text, the object's message, or the object as JSON."""
    if isinstance(given, str):
        return given
    message = given.get("message")
    return message or canonical(given).decode()


def _conversation(ctx: Context) -> list[Message]:
    said: Message = {"role": "user", "content": _said(ctx.state[INPUT])}
    return [said, *(_marked(ctx, message) for message in ctx.state[MESSAGES])]


def _marked(ctx: Context, message: Message) -> Message:
    """Mark what a tool gave as nobody's instruction; messages of older runs stay as they were."""
    if not message.get("untrusted"):
        return message
    place = f"{ctx.run_id}/{message.get('tool_call_id', '')}"
    marked = delimited(message["content"], source=message.get("name", "a tool"), place=place)
    sent: Any = {key: value for key, value in message.items() if key != "untrusted"}
    sent["content"] = marked
    return cast("Message", sent)


def _turn(ctx: Context, answer: Done) -> Step:
    said = answer.value
    message: Message = {"role": "assistant", "content": said["content"]}
    calls = _distinct(said.get("tool_calls") or [], ctx.super_step)
    if not calls:
        return Step(writes={MESSAGES: [message], OUTPUT: {"answer": said["content"]}}, next=())
    message["tool_calls"] = calls
    return Step(
        writes={MESSAGES: [message]}, next=tuple(Send(node="act", arg=call) for call in calls)
    )


def _distinct(calls: Sequence[ToolCallJson], super_step: int) -> list[ToolCallJson]:
    """Give every call an id of its own, whatever the model wrote."""
    seen: set[str] = set()
    distinct: list[ToolCallJson] = []
    for number, call in enumerate(calls):
        call_id = call.get("id") or f"call_{super_step}_{number}"
        while call_id in seen:
            call_id = f"{call_id}_{number}"
        seen.add(call_id)
        distinct.append({**call, "id": call_id})
    return distinct


async def _result(ctx: Context, call: ToolCallJson) -> Message:
    message: Message = {
        "role": "tool",
        "tool_call_id": call["id"],
        "name": call["name"],
        "content": "",
    }
    arguments = call["arguments"]
    if not isinstance(arguments, Mapping):
        message["content"] = "validation_error: the arguments are not a JSON object"
        message["is_error"] = True
        return message
    message["untrusted"] = True
    outcome = await ctx.call(call["name"], arguments)
    if isinstance(outcome, Failed):
        message["content"] = f"{outcome.error_class}: {outcome.detail}"
        message["is_error"] = True
    else:
        value = outcome.value
        message["content"] = value if isinstance(value, str) else canonical(value).decode()
    return message


def _guard(messages: Sequence[Message], most: int) -> None:
    """Stop an agent that asks for the same and gets the same, `most` turns in a row."""
    turns = list(_turns(messages))[-most:]
    if len(turns) == most and len(set(turns)) == 1:
        raise LoopStopped(f"the same calls gave the same results {most} times in a row")


def _turns(messages: Sequence[Message]) -> Any:
    asked: list[Json] | None = None
    for message in messages:
        if message["role"] == "assistant":
            if asked is not None:
                yield canonical(asked)
            asked = [[c["name"], c["arguments"]] for c in message.get("tool_calls", ())]
        elif message["role"] == "tool" and asked is not None:
            asked.append(message["content"])
    if asked is not None:
        yield canonical(asked)

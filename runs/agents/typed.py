"""Ask a model for a value of a type; what does not fit is asked for again, so many times.

    report = await ask_for(ctx, Report, "Summarise it.", repairs=2)

Each asking is an effect of its own: it stands in the ledger with what it cost, and is not asked
again when the code runs again.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from gateway.core.messages import Message
from policy.core.json import canonical, parsed
from policy.core.outcomes import ErrorClass
from runs.agents.context import Context
from runs.errors import RunsError

T = TypeVar("T")
MOST_REPAIRS: Final = 10
LONGEST_FAULT: Final = 1000


class InvalidOutput(RunsError):  # noqa: N818
    """A model's answer did not fit, however often it was asked; the message says where not."""

    error_class = ErrorClass.VALIDATION_ERROR


async def ask_for(
    ctx: Context, kind: type[T], prompt: str, *, repairs: int = 2, **options: Any
) -> T:
    """Ask a model for a value of a type, and give it; `options` are those of `ctx.model`.

    The answer is JSON that fits the type. One that does not is shown to the model with what is
    wrong, and asked for again, `repairs` times at most.

    Raises:
        InvalidOutput: no answer fitted.
        ModelFailed: no answer was to be had.
        ValueError: `repairs` is not from 0 to 10.
    """
    if not 0 <= repairs <= MOST_REPAIRS:
        raise ValueError(f"repairs is from 0 to {MOST_REPAIRS}, not {repairs}")
    adapter: TypeAdapter[T] = TypeAdapter(kind)
    schema = canonical(adapter.json_schema()).decode()
    asked = f"{prompt}\n\nAnswer with JSON that fits this schema, and nothing else:\n{schema}"
    messages: list[Message] = [{"role": "user", "content": asked}]
    wrong = ""
    for _ in range(repairs + 1):
        said = str((await ctx.model(messages, **options))["content"])
        try:
            return adapter.validate_python(parsed(_bare(said)))
        except (ValidationError, ValueError) as error:
            wrong = _fault(error)
        again = f"That does not fit: {wrong}\nAnswer again, with the JSON alone."
        messages = [
            *messages,
            {"role": "assistant", "content": said},
            {"role": "user", "content": again},
        ]
    raise InvalidOutput(f"no answer fitted in {repairs + 1} askings; the last: {wrong}")


def _bare(said: str) -> str:
    """Take JSON out of the fence that models like to put around it."""
    text = said.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].removeprefix("json").strip()
    return text


def _fault(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"it is no JSON: {error}"[:LONGEST_FAULT]
    found = error.errors(include_url=False, include_context=False, include_input=False)
    parts = ("/" + "/".join(str(p) for p in one["loc"]) + f": {one['msg']}" for one in found[:5])
    return "; ".join(parts)[:LONGEST_FAULT]

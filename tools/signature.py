"""From a function's annotations to JSON Schemas, and from JSON to its arguments and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.json_schema import GenerateJsonSchema

from policy.core.json import Json, JsonObject
from tools.errors import InvalidTool

_PLAIN: Final = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a tool may know of the call it answers. Not part of its schema.

    `idempotency_key` is the same whenever this very call is repeated: hand it to the
    service behind the tool, and a repeated call changes nothing more.
    """

    idempotency_key: str
    run_id: str
    tenant_id: str
    deadline: datetime


class _Plain(GenerateJsonSchema):
    """Schemas without the titles that pydantic derives from names: a model pays for them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's hook
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a function takes and gives, in JSON's terms."""

    model: type[BaseModel]
    fields: Mapping[str, str]
    context: str | None
    result: TypeAdapter[Any]
    input_schema: JsonObject
    output_schema: JsonObject | None

    def arguments(self, given: JsonObject, context: ToolContext) -> dict[str, Any]:
        """Turn checked JSON arguments into the function's own types.

        Raises:
            pydantic.ValidationError: the types refuse what the schema let through.
        """
        model = self.model.model_validate(dict(given))
        found = {name: getattr(model, field) for name, field in self.fields.items()}
        return {**found, self.context: context} if self.context else found

    def dumped(self, result: Any) -> Json:
        """Turn what the function returned into JSON.

        Raises:
            pydantic.ValidationError: it is not of the annotated type.
            pydantic_core.PydanticSerializationError: it has no form in JSON.
        """
        return self.result.dump_python(
            self.result.validate_python(result), mode="json", by_alias=True
        )


def read(function: Callable[..., Any], name: str) -> Signature:
    """Read a function's signature.

    Raises:
        InvalidTool: a parameter or the result has no usable annotation.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
        return _signature(function, name, hints)
    except (NameError, TypeError, PydanticUserError) as error:
        raise InvalidTool(f"tool {name}: its annotations cannot be used: {error}") from error


def _signature(function: Callable[..., Any], name: str, hints: dict[str, Any]) -> Signature:
    fields: dict[str, str] = {}
    definitions: dict[str, Any] = {}
    context = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _PLAIN or parameter.name not in hints:
            raise InvalidTool(
                f"tool {name}: parameter {parameter.name!r} must be a named one with a type"
            )
        if hints[parameter.name] is ToolContext:
            context = parameter.name
            continue
        field = f"field_{len(fields)}"  # any name may be a parameter's, also one of BaseModel's
        fields[parameter.name] = field
        definitions[field] = (hints[parameter.name], _field(parameter))
    if "return" not in hints:
        raise InvalidTool(f"tool {name}: say with an annotation what it returns")
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    model = create_model(name, __config__=config, **definitions)
    result = TypeAdapter(hints["return"])
    return Signature(
        model=model,
        fields=fields,
        context=context,
        result=result,
        input_schema=_untitled(model.model_json_schema(schema_generator=_Plain)),
        output_schema=_output(result),
    )


def _field(parameter: inspect.Parameter) -> Any:
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    return Field(default, alias=parameter.name)


def _output(result: TypeAdapter[Any]) -> JsonObject | None:
    schema = result.json_schema(mode="serialization", schema_generator=_Plain)
    return _untitled(schema) or None


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"}

"""Formats of payloads, one file each, named as in a graph file; others come by the entry point `spikeflow.payloads`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from spikeflow.errors import ParameterError, nearest
from spikeflow.family import Family
from spikeflow.nodes.payload import Format

FAMILY: Family[Format] = Family(__name__, Format, "format", "spikeflow.payloads")  # type: ignore[type-abstract]
DEFAULT = "json"


def formats() -> dict[str, type[Format]]:
    """Every format there is, by name."""
    return FAMILY.members


def format_class(kind: Any, context: Mapping[str, Any]) -> type[Format]:
    """The class of a format.

    Args:
        kind: a name, ``module:Class``, or, from Python, a class.
        context: what the graph file's reader knows: `class_at` imports by path, from `folder`.

    Raises:
        ParameterError: there is no such format.
    """
    if isinstance(kind, str) and ":" in kind:
        if "class_at" not in context:
            raise ParameterError(f"the format {kind!r} by its name", "from Python, give the class itself")
        kind = context["class_at"](kind, context.get("folder"))
    if isinstance(kind, type):
        if not FAMILY.holds(kind):
            missing = ", ".join(sorted(getattr(kind, "__abstractmethods__", ())))
            hint = f"write the method {missing}" if missing and issubclass(kind, Format) else "derive it from Format"
            raise ParameterError(f"{kind.__name__} is no format", hint)
        return kind
    found = formats().get(kind) if isinstance(kind, str) else None
    if found is not None:
        return found
    if isinstance(kind, str) and (lacking := FAMILY.broken.get(kind)) is not None:
        raise lacking
    raise ParameterError(f"unknown format {kind!r}", nearest(str(kind), formats()))


def _payload(given: Any, info: ValidationInfo) -> Format:
    """The format that a mapping with its name and its fields stands for."""
    if isinstance(given, Format):
        return given
    if not isinstance(given, Mapping):
        raise ParameterError(f"a payload that is {given!r}"[:80], "write {format: json, value: $.acc}")
    fields = {key: value for key, value in given.items() if key != "format"}
    try:
        cls = format_class(given.get("format", DEFAULT), info.context or {})
    except ParameterError as error:
        told = _told("value_error", ("format",), given, error)
        raise ValidationError.from_exception_data("payload", [told]) from None
    try:
        return cls.model_validate(fields, context=info.context)
    except ValidationError as error:
        raise ValidationError.from_exception_data("payload", [_retold(one, cls) for one in error.errors()]) from None


def _retold(error: Any, cls: type[Format]) -> InitErrorDetails:
    """An error of a field, with what only the format knows: its keys, and what they are for."""
    key = error["loc"][-1] if error["loc"] else ""
    cause = error.get("ctx", {}).get("error")
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        cause = ParameterError(f"unknown key {key!r}", nearest(str(key), ["format", *cls.model_fields]))
    elif error["type"] == "missing" and len(error["loc"]) == 1:
        cause = ParameterError(f"{key!r} is missing", f"add it: {cls.model_fields[key].description}")
    if isinstance(cause, ParameterError):
        return _told(error["type"], error["loc"], error["input"], cause)
    return InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))


def _told(kind: str, place: tuple[Any, ...], given: Any, cause: ParameterError) -> InitErrorDetails:
    told = PydanticCustomError(kind, "{error}", {"error": cause})
    return InitErrorDetails(type=told, loc=place, input=given)


class _AnyFormat:
    """Any format there is, by the key `format`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_payload)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        for kind, model in formats().items():
            reference = dict(handler(model.__pydantic_core_schema__))
            body = handler.resolve_ref_schema(reference)
            said_first = (inspect.getdoc(model) or "").partition("\n\n")[0]
            name = {"format": {"const": kind, "description": " ".join(said_first.split())}}
            body["properties"] = name | {k: v for k, v in body.get("properties", {}).items() if k != "format"}
            needed = [key for key in body.get("required", ()) if key != "format"]
            body["required"] = needed if kind == DEFAULT else ["format", *needed]
            choices.append(reference)
        path = {"type": "string", "pattern": ":", "description": "a format of your own: my_module:MyFormat"}
        choices.append({"type": "object", "properties": {"format": path}, "required": ["format"]})
        return {"anyOf": choices}


Payload = Annotated[Format, _AnyFormat]
"""A field that takes any format: `{format: json, value: $.acc}`; without `format` it is JSON."""


def default() -> Format:
    """What a payload is where nothing is said."""
    return formats()[DEFAULT]()


__all__ = ["DEFAULT", "Payload", "default", "format_class", "formats"]

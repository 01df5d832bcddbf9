"""The JSON Schema of graph files, from the classes of all kinds, for editors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from spikeflow.catalog import ROLES, article, formats, kinds, node_class
from spikeflow.errors import ParameterError
from spikeflow.node import Node
from spikeflow.spec.model import Header

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}", "description": "${VAR} or ${params.name}"}


class _Generator(GenerateJsonSchema):
    """As pydantic's, with anything allowed where a field takes what JSON cannot say, such as an array."""

    ignored_warning_types = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        """Allow anything."""
        return {}


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a graph file; `nodes` takes any kind there is, built in or installed."""
    classes = dict(_classes())
    models: list[Any] = [(model, "validation") for model in dict.fromkeys([Header, *classes.values()])]
    named: list[Any] = [(model, "validation") for model in formats().values()]  # else they stand where they are used
    by_model, shared = models_json_schema([*models, *named], by_alias=True, schema_generator=_Generator)
    defs: dict[str, Any] = shared["$defs"]
    names = {model: by_model[model, "validation"]["$ref"].rpartition("/")[2] for model, _ in models}
    bodies = {model: defs.pop(name) for model, name in names.items()}
    entries = {f"{role}-{kind}": _kind(role, kind, cls, bodies[cls]) for (role, kind), cls in classes.items()}
    choices = [{"$ref": f"#/$defs/{name}"} for name in entries]
    properties = _properties(bodies[Header])
    properties["nodes"] = {
        "type": "object",
        "description": "the nodes, each under its name",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
        "additionalProperties": {"anyOf": [*choices, *map(_by_path, ROLES)]},
    }
    return {
        "$schema": DIALECT,
        "title": "spikeflow graph",
        "description": "A spiking network on live streams: where events come from, what they drive, and where they go.",
        "type": "object",
        "properties": properties,
        "required": ["spikeflow", "nodes"],
        "additionalProperties": False,
        "$defs": {name: _untitled(body) for name, body in defs.items()} | entries,
    }


def _classes() -> Iterator[tuple[tuple[str, str], type[Node]]]:
    for role in ROLES:
        for kind in kinds(role):
            try:
                yield (role, kind), node_class(role, kind)
            except ParameterError:  # an installed kind that lacks what it needs; `check` says so where it is used
                continue


def _kind(role: str, kind: str, cls: type[Node], body: JsonSchemaValue) -> JsonSchemaValue:
    """What a node of one kind may hold."""
    fields = _properties(body)
    inputs = fields.pop("inputs", {})
    said = inspect.getdoc(cls) or f"{article(role)}".capitalize()
    properties: dict[str, Any] = {role: {"const": kind, "description": said.partition("\n\n")[0]}}
    if cls.most_inputs != 0:
        entries = inputs.get("anyOf", [inputs])[0].get("items", {})
        one = {"anyOf": [{"type": "string"}, entries], "description": "a node, `node.port`, or a mapping with `from`"}
        listed = {"anyOf": [one, {"type": "array", "items": one}], "description": inputs.get("description", "")}
        properties |= {"input": listed, "inputs": listed}
    return {
        "type": "object",
        "description": said,
        "properties": properties | fields,
        "required": [role, *(key for key in body.get("required", ()) if key != "inputs")],
        "additionalProperties": False,
    }


def _by_path(role: str) -> JsonSchemaValue:
    """A class of one's own, whose keys only Python knows."""
    path = {"type": "string", "pattern": ":", "description": f"{article(role)} of your own: my_module:MyClass"}
    return {"type": "object", "properties": {role: {"anyOf": [path, _REFERENCE]}}, "required": [role]}


def _properties(body: JsonSchemaValue) -> dict[str, Any]:
    """The fields of a model, each of which a reference may stand for."""
    return {key: _or_reference(_untitled(value)) for key, value in body.get("properties", {}).items()}


def _or_reference(value: JsonSchemaValue) -> JsonSchemaValue:
    if value.get("type") == "string" and not value.keys() & {"pattern", "enum", "const", "maxLength"}:
        return value
    outside: dict[str, Any] = {key: value[key] for key in ("description", "default") if key in value}
    inside = {key: found for key, found in value.items() if key not in outside}
    choices = inside["anyOf"] if inside.keys() == {"anyOf"} else [inside]
    return {"anyOf": [*choices, _REFERENCE], **outside}


def _untitled(value: Any) -> Any:
    """A schema without the titles that pydantic makes of the names."""
    if isinstance(value, list):
        return [_untitled(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {key: _untitled(entry) for key, entry in value.items() if key != "title" or not isinstance(entry, str)}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {key: _or_reference(entry) for key, entry in found["properties"].items()}
    return found

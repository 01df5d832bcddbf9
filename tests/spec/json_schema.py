"""The part of JSON Schema that the schema of graph files uses, so that tests need no other package."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = {"$schema", "$defs", "title", "description", "default", "examples", "format", "deprecated"}


def fits(value: Any, schema: Any, top: dict[str, Any]) -> bool:
    """Whether a value is as a schema says.

    Raises:
        KeyError: the schema has a keyword that is not known here.
    """
    if isinstance(schema, bool):
        return schema
    return all(_holds(key, entry, value, schema, top) for key, entry in schema.items() if key not in _WORDS)


def _holds(key: str, entry: Any, value: Any, schema: dict[str, Any], top: dict[str, Any]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match key:
        case "$ref":
            return fits(value, top["$defs"][entry.removeprefix("#/$defs/")], top)
        case "anyOf" | "oneOf":
            return any(fits(value, one, top) for one in entry)
        case "allOf":
            return all(fits(value, one, top) for one in entry)
        case "type":
            return isinstance(value, _TYPES[entry]) and (isinstance(value, bool) == (entry == "boolean"))
        case "const":
            return bool(value == entry)
        case "enum":
            return value in entry
        case "pattern":
            return not isinstance(value, str) or re.search(entry, value) is not None
        case "minLength" | "maxLength":
            return not isinstance(value, str) or (len(value) >= entry if key == "minLength" else len(value) <= entry)
        case "minimum":
            return not number or value >= entry
        case "maximum":
            return not number or value <= entry
        case "exclusiveMinimum":
            return not number or value > entry
        case "exclusiveMaximum":
            return not number or value < entry
        case "items":
            return not isinstance(value, list) or all(fits(one, entry, top) for one in value)
        case "prefixItems":
            pairs = zip(value, entry, strict=False) if isinstance(value, list) else ()
            return all(fits(one, each, top) for one, each in pairs)
        case "minItems" | "maxItems":
            return not isinstance(value, list) or (len(value) >= entry if key == "minItems" else len(value) <= entry)
        case "minProperties":
            return not isinstance(value, dict) or len(value) >= entry
        case "propertyNames":
            return not isinstance(value, dict) or all(fits(name, entry, top) for name in value)
        case "required":
            return not isinstance(value, dict) or all(name in value for name in entry)
        case "properties":
            return not isinstance(value, dict) or all(fits(value[k], s, top) for k, s in entry.items() if k in value)
        case "additionalProperties":
            known = schema.get("properties", {})
            return not isinstance(value, dict) or all(fits(v, entry, top) for k, v in value.items() if k not in known)
    raise KeyError(key)

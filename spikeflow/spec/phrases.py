"""What pydantic finds wrong with a value, said in our words and at the value's place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from spikeflow.errors import ParameterError, nearest
from spikeflow.spec.tree import Item, Place

_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "the path of a file",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "iterable": "a list",
    "none_required": "nothing",
}
_OURS = [
    ("Input should ", "must "),
    ("List should ", "must "),
    ("String should ", "must "),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
]
_TYPE = re.compile(r"(\w+?)(?:_type|_parsing|_from_float|_parsing_size|_attributes_type|_required)")
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(slots=True)
class _Error:
    """One error of pydantic, placed.

    Attributes:
        type: pydantic's name of the error.
        path: keys and indices from the top item to the value.
        item: the deepest item on the way.
        place: of the value, or of the key where the key is wrong.
        name: of the field, with an index where it is an entry of a list.
        branches: which members of unions were tried, each with the length of the path there.
    """

    type: str
    path: tuple[str | int, ...]
    item: Item
    place: Item | Place
    name: str
    branches: tuple[tuple[int, str], ...]
    value: Any
    message: str
    context: dict[str, Any]


def show(value: Any) -> str:
    """A value as it looks in a graph file, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "…")
    if isinstance(value, int | float):
        return str(value)[:60]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def field_of(model: type[BaseModel], name: str) -> FieldInfo | None:
    """The field that a key of a graph file stands for."""
    for field_name, field in model.model_fields.items():
        if name in (field.alias, field.validation_alias) or (name == field_name and field.alias is None):
            return field
    return None


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a model takes in a graph file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions."""
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _models_at(model: type[BaseModel], path: Iterable[str | int]) -> list[type[BaseModel]]:
    """The models that may describe the value at a path."""
    models = [model]
    for part in path:
        if isinstance(part, int):
            continue
        fields = [field for found in models if (field := field_of(found, part)) is not None]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return models


def locate(item: Item, path: Sequence[str | int]) -> tuple[Item, Item | Place, str]:
    """The deepest item that a path reaches, the place to point at, and the name of its key.

    `inputs` stands for `input` where that is what the file says, and its only entry for the value itself.
    """
    place: Item | Place = item
    name = ""
    at_top = True
    for part in path:
        child: Item | None = None
        if isinstance(part, str):
            key = "input" if at_top and part == "inputs" and item.get("inputs") is None else part
            child = item.get(key)
            name = key if child is not None else name
        elif isinstance(item.value, list) and 0 <= part < len(item.value):
            child = item.value[part]
            name = f"{name}[{part}]"
        at_top = False
        if child is not None:
            item = place = child
    return item, place, name


def _placed(item: Item, error: Any) -> _Error:
    path: list[str | int] = []
    branches: list[tuple[int, str]] = []
    here = item
    location = error["loc"]
    for index, part in enumerate(location):
        key = "input" if not path and part == "inputs" and here.get("inputs") is None and here.get("input") else part
        child = here.get(key) if isinstance(key, str) else None
        if isinstance(part, int) and isinstance(here.value, list) and part < len(here.value):
            child = here.value[part]
        if child is not None:
            here = child
            path.append(key)
        elif isinstance(part, str) and not (error["type"] == "missing" and index == len(location) - 1):
            branches.append((len(path), part))
    _, place, name = locate(item, path)
    if error["type"] == "missing":
        name = str(location[-1]) if location else ""
    elif error["type"] == "extra_forbidden" and path:
        parent, _, _ = locate(item, path[:-1])
        name = str(path[-1])
        place = here if here.origin else parent.keys.get(name, here.place)
    return _Error(
        error["type"],
        tuple(path),
        here,
        place,
        name,
        tuple(branches),
        error["input"],
        error["msg"],
        error.get("ctx", {}),
    )


def rephrased(
    error: ValidationError,
    item: Item,
    model: type[BaseModel],
    extra_keys: Sequence[str] = (),
    closed_keys: Sequence[str] = (),
) -> Iterator[tuple[Item | Place, str, str, str]]:
    """What is wrong, in our words: the place, the name of the field, what was found, and what would work.

    Args:
        error: as pydantic raised it on the plain value of `item`.
        item: the value that was validated.
        model: the class that it was validated for.
        extra_keys: keys that are valid at the top without being fields.
        closed_keys: fields that are not for graph files.
    """
    errors = [_placed(item, one) for one in error.errors(include_url=False)]
    errors = [one for one in errors if not _follows(one)]
    unknown = {one.path[:-1]: one for one in errors if one.type == "extra_forbidden"}
    for chosen in _without_branches(errors):
        first = chosen[0]
        cause = first.context.get("error")
        if first.type in ("extra_forbidden", "missing") and isinstance(cause, ParameterError):
            yield first.place, first.name, cause.found, cause.hint
        elif first.type == "extra_forbidden" and (known := _refused(model, first)) is not None:
            yield first.place, first.name, known.found, known.hint
        elif first.type == "extra_forbidden":
            valid = [key for found in _models_at(model, first.path[:-1]) for key in keys_of(found)]
            if len(first.path) == 1:
                valid = [*(key for key in valid if key not in closed_keys), *extra_keys]
            yield first.place, first.name, f"unknown key {first.name!r}", nearest(first.name, valid)
        elif first.type == "missing":
            twin = unknown.get(first.path)
            if twin is None or nearest(twin.name, [first.name]) != f"did you mean {first.name!r}?":
                yield first.place, first.name, f"{first.name!r} is missing", _add(model, first)
        elif len(chosen) > 1:
            yield first.place, first.name, f"{first.name}: {show(_value_of(first))}", _one_of(chosen)
        else:
            yield first.place, first.name, *_said(first, model)


def _refused(model: type[BaseModel], error: _Error) -> ParameterError | None:
    """What the class itself says of a key that it does not have."""
    for one in _models_at(model, error.path[:-1]):
        explain = getattr(one, "refused", None)
        found: ParameterError | None = None if explain is None else explain(error.name, error.value)
        if found is not None:
            return found
    return None


def _follows(error: _Error) -> bool:
    """Whether the error follows from a substitution that failed."""
    return error.item.broken if error.type in ("missing", "extra_forbidden") else error.item.is_broken()


def _value_of(error: _Error) -> Any:
    return error.item.value if not isinstance(error.item.value, dict | list) else error.value


def _without_branches(errors: list[_Error]) -> Iterator[list[_Error]]:
    """The errors one by one; those of one union are cut down to the member that was most likely meant.

    Several errors come together where any member of a union would do and none is nearer than the others.
    """
    done: set[int] = set()
    for error in errors:
        if id(error) in done:
            continue
        if not error.branches:
            yield [error]
            continue
        length, _ = error.branches[0]
        union = [
            e for e in errors if e.branches and e.branches[0][0] == length and e.path[:length] == error.path[:length]
        ]
        done.update(map(id, union))
        yield from _likeliest(union, length)


def _likeliest(union: list[_Error], length: int) -> Iterator[list[_Error]]:
    own = [e for e in union if isinstance(e.context.get("error"), ParameterError)]
    members: dict[str, list[_Error]] = {}
    for error in union:
        members.setdefault(error.branches[0][1], []).append(error)
    meant = {
        tag: found for tag, found in members.items() if not all(_is_type(e) and len(e.path) == length for e in found)
    }
    if not meant:
        yield union
        return
    least = min(_strangeness(found) for found in meant.values())
    best = [found for found in meant.values() if _strangeness(found) == least]
    if own and len(best) > 1:
        yield [own[0]]
        return
    strange = [e for e in best[0] if e.type == "extra_forbidden"]
    for error in strange if len(best) > 1 and strange else best[0]:
        yield [error]


def _strangeness(errors: list[_Error]) -> tuple[int, int]:
    return sum(e.type in ("extra_forbidden", "missing") for e in errors), len(errors)


def _is_type(error: _Error) -> bool:
    return error.type in ("literal_error", "enum") or _TYPE.fullmatch(error.type) is not None


def _add(model: type[BaseModel], error: _Error) -> str:
    description = _description(model, error.path, error.name)
    return f"add it: {description}" if description else "add it"


def _description(model: type[BaseModel], path: Sequence[str | int], name: str) -> str:
    fields = [field_of(found, name) for found in _models_at(model, path)]
    return next((field.description for field in fields if field is not None and field.description), "")


def _said(error: _Error, model: type[BaseModel]) -> tuple[str, str]:
    """What was found and what would work, of one error."""
    cause = error.context.get("error")
    if isinstance(cause, ParameterError):
        return cause.found, cause.hint
    found = f"{error.name}: {show(_value_of(error))}" if error.name else show(_value_of(error))
    if cause is not None:
        return found, str(cause) or type(cause).__name__
    if error.type in ("literal_error", "enum"):
        return found, _choice(error)
    noun = _noun(error)
    if noun:
        quotes = "; put it in quotes" if error.type == "string_type" and isinstance(error.value, int | float) else ""
        return found, f"must be {noun}{quotes}"
    if error.type == "string_pattern_mismatch" and error.path:
        description = _description(model, error.path[:-1], str(error.path[-1]))
        if description:
            return found, f"write {description}"
    hint = error.message
    for theirs, ours in _OURS:
        hint = hint.replace(theirs, ours)
    return found, hint[:1].lower() + hint[1:]


def _noun(error: _Error) -> str | None:
    match = _TYPE.fullmatch(error.type)
    return _NOUNS.get(match[1]) if match else None


def _choices(error: _Error) -> list[str]:
    return _QUOTED.findall(str(error.context.get("expected", "")))


def _choice(error: _Error) -> str:
    choices = _choices(error)
    return nearest(str(error.value), choices) if choices else f"must be {error.context.get('expected')}"


def _one_of(errors: list[_Error]) -> str:
    """What would work where each member of a union refuses the type."""
    choices = [choice for error in errors for choice in _choices(error)]
    if choices and isinstance(errors[0].value, str):
        return nearest(errors[0].value, choices)
    nouns = dict.fromkeys(noun for error in errors if (noun := _noun(error)))
    names = [*nouns, *map(repr, choices)]
    if not names:
        return errors[0].message
    return f"must be {names[0]}" if len(names) == 1 else f"must be {', '.join(names[:-1])} or {names[-1]}"

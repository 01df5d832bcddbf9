"""`spikeflow nodes`: the kinds there are, and their keys, from the classes themselves."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spikeflow.catalog import ROLES, about, formats, kinds, node_class, rules
from spikeflow.cli.saying import OK, guarded
from spikeflow.errors import ParameterError, nearest
from spikeflow.node import Node
from spikeflow.spec import schema
from spikeflow.units import format_ns, format_seconds

_WIDTH = 120
_QUANTITY = re.compile(r"\d+ (ns|us|ms|s|min|Hz)")
_OF_NEURONS = ("integrator", "reset_by", "input_order", "refractory", "allow_unstable")
_OF_POPULATIONS = ("record", "initial", "precision", "device")
_OF_NODES = ("time", "buffer", "overflow", "inputs", "forget", "on_error")
_SHARED = (*_OF_NEURONS, *_OF_POPULATIONS, *_OF_NODES)
"""Keys that many kinds have; they come after a kind's own."""
RULE = "rule"
"""What stands in the place of a role where the kind is a learning rule."""
FORMAT = "payload"
"""What stands in the place of a role where the kind is a format of payloads."""


def print_schema() -> int:
    """Print the JSON Schema of graph files."""

    def command() -> int:
        sys.stdout.write(orjson.dumps(schema(), option=orjson.OPT_INDENT_2).decode() + "\n")
        sys.stdout.flush()
        return OK

    return guarded(command, False)


def print_kinds(kind: str | None, json: bool, debug: bool) -> int:
    """Print the kinds of every role, or all about one."""
    return guarded(lambda: _print(kind, json), debug)


def _print(kind: str | None, json: bool) -> int:
    found = _found(kind)
    if json:
        definitions = schema()["$defs"]
        listed = [described(role, name, cls, definitions) for role, name, cls in found]
        sys.stdout.write(orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
        if kind is None:
            console.print(_overview(found))
        else:
            definitions = schema()["$defs"]
            for role, name, cls in found:
                _explain(console, described(role, name, cls, definitions))
    sys.stdout.flush()
    return OK


def _found(kind: str | None) -> list[tuple[str, str, type[BaseModel]]]:
    if kind is not None and ":" in kind:
        for role in ROLES:
            try:
                return [(role, kind, node_class(role, kind))]
            except ParameterError as error:
                if "not a" not in error.found:
                    raise
        raise ParameterError(f"{kind!r} is no node", "name a subclass of a role")
    beside: dict[str, dict[str, type[BaseModel]]] = {RULE: dict(rules()), FORMAT: formats()}
    every = [(role, name) for role in ROLES for name in kinds(role)]
    every += [(role, name) for role, found in beside.items() for name in found]
    chosen = [(role, name) for role, name in every if kind in (None, name, role)]
    if not chosen:
        raise ParameterError(f"there is no kind {kind!r}", nearest(str(kind), [name for _, name in every]))
    return [(role, name, beside[role][name] if role in beside else node_class(role, name)) for role, name in chosen]


def _overview(found: list[tuple[str, str, type[BaseModel]]]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("role")
    table.add_column("kind", style="bold", no_wrap=True)
    table.add_column("takes → gives", no_wrap=True)
    table.add_column("what it does")
    before = ""
    for role, name, cls in found:
        flow = f"{_either(cls.takes)} → {_either(cls.gives)}".strip() if issubclass(cls, Node) else ""
        table.add_row(role if role != before else "", name, flow, escape(_first_line(cls)))
        before = role
    return table


def _either(what: tuple[str, ...]) -> str:
    return "any" if len(what) > 1 else "".join(what)


def _first_line(cls: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


def described(role: str, name: str, cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A kind from its class: what a node takes and gives, its docstring, its keys, and what the class adds to that.

    Args:
        definitions: `$defs` of the JSON Schema.
    """
    if role == FORMAT:
        return _described_format(name, cls, definitions)
    if not issubclass(cls, Node):
        return _described_rule(name, cls, definitions)
    entry = definitions.get(f"{role}-{name}", {})
    left_out = {"inputs"} if cls.most_inputs == 0 else set()
    fields = {key: field for key, field in cls.model_fields.items() if key not in left_out}
    keys = [one for key, field in fields.items() for one in _keys(key, field, entry.get("properties", {}), definitions)]
    keys.sort(key=lambda one: (_place(_own(one)), not fields[_own(one)].is_required()))
    return {
        "role": role,
        "kind": name,
        "takes": list(cls.takes),
        "gives": list(cls.gives),
        "description": inspect.getdoc(cls) or "",
        "keys": keys,
        **about(cls),
    }


def _described_rule(name: str, rule: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A learning rule from its class, and the keys beside it where a projection says how it learns."""
    learn = definitions["Learn"]["properties"]
    at = next(one["$ref"] for one in learn[name]["anyOf"] if "$ref" in one).rpartition("/")[2]
    said = definitions[at]["properties"]
    beside = [
        {"key": key, "type": _type(one, definitions), "required": False, "default": one.get("default")}
        | {"description": one.get("description", "")}
        for key, one in learn.items()
        if key not in rules()
    ]
    return {
        "role": RULE,
        "kind": name,
        "description": inspect.getdoc(rule) or "",
        "keys": [one for key, field in rule.model_fields.items() for one in _keys(key, field, said, definitions)],
        "beside": beside,
        **about(rule),
    }


def _described_format(name: str, cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A format of payloads from its class; keys that all formats have come last."""
    said = definitions[cls.__name__]["properties"]
    shared = ("time", "time_unit", "time_zone", "compression", "max_size")
    keys = [one for key, field in cls.model_fields.items() for one in _keys(key, field, said, definitions)]
    fields = cls.model_fields
    keys.sort(
        key=lambda one: (shared.index(_own(one)) if _own(one) in shared else -1, not fields[_own(one)].is_required())
    )
    return {"role": FORMAT, "kind": name, "description": inspect.getdoc(cls) or "", "keys": keys}


def _own(one: dict[str, Any]) -> str:
    """The key of the node itself that a key is, or lies in; those that lie in it follow it."""
    return str(one["key"]).partition(".")[0]


def _place(key: str) -> int:
    return _SHARED.index(key) if key in _SHARED else -1


def _keys(key: str, field: FieldInfo, said: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """A key, and the keys in it where it is a mapping of known ones: nobody needs those who does not write it."""
    within = key.rpartition(".")[0]
    kind = _type(said.get(key.rpartition(".")[2], {}), definitions)
    inner = _mapping(field.annotation)
    default = None if field.is_required() else _default(field.get_default(call_default_factory=True), kind)
    one = {
        "key": key,
        "type": kind,
        "required": field.is_required() and not within,
        "default": None if inner is not None else default,
        "description": field.description or "",
    }
    if field.is_required() and within:
        one["required_in"] = within
    if inner is None:
        return [one]
    known = definitions.get(inner.__name__, {}).get("properties", {})
    return [one, *(k for name, f in inner.model_fields.items() for k in _keys(f"{key}.{name}", f, known, definitions))]


def _mapping(annotation: Any) -> type[BaseModel] | None:
    """The one model that a field takes, if it does."""
    found = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type) and issubclass(one, BaseModel)]
    if len(found) != 1 or inspect.isabstract(found[0]):  # an abstract one stands for many
        return None
    return found[0] if get_origin(annotation) not in (list, dict) else None


def _default(value: Any, kind: str) -> Any:
    if kind == "time" and isinstance(value, int | float):
        return format_ns(value) if isinstance(value, int) else format_seconds(value)
    if kind == "frequency" and isinstance(value, float):
        return f"{value:g} Hz"
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)


def _type(said: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A type as one would say it: text, number, time, one of some words."""
    if "enum" in said or "const" in said:
        return " | ".join(str(one) for one in said.get("enum", [said.get("const")]))
    if "anyOf" in said:
        parts = dict.fromkeys(
            _type(one, definitions)
            for one in said["anyOf"]
            if one.get("type") != "null" and "${" not in str(one.get("description"))
        )
        return " | ".join(part for part in parts if part)
    if "$ref" in said:
        inner = definitions.get(said["$ref"].rpartition("/")[2], {})
        return _type(inner, definitions)
    example = str(said.get("examples", [""])[0])
    if said.get("type") == "string" and _QUANTITY.fullmatch(example):
        return "frequency" if example.endswith("Hz") else "time"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true | false"}
    names |= {"array": "list", "object": "mapping"}
    return names.get(str(said.get("type")), "")


def _explain(console: Console, about: dict[str, Any]) -> None:
    flow = ", ".join(f"{verb} {' or '.join(about[verb])}" for verb in ("takes", "gives") if about.get(verb))
    console.print(f"[bold]{about['role']}: {about['kind']}[/]{f'  ({flow})' if flow else ''}\n")
    console.print(about["description"], markup=False)
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("key", style="bold", no_wrap=True)
    for heading in ("type", "default", "what it says"):
        table.add_column(heading)
    for one in about["keys"]:
        table.add_row(*map(escape, (one["key"], one["type"], default_of(one), one["description"])))
    console.print(table)
    for heading, text in added(about):
        if "\n" in text:
            console.print(f"\n[bold]{heading}[/]\n")
            console.print(textwrap.indent(text, "  "), markup=False, soft_wrap=True)
        else:
            console.print(f"[bold]{heading}[/]: {escape(text)}")
    console.print()


def added(about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a class says beside its keys, as headings with their texts."""
    if "equations" not in about:
        return
    yield from _of_a_rule(about) if about["role"] == RULE else _of_a_model(about)
    if about["source"] and about["source"] not in " ".join(about["description"].split()):
        yield "source", about["source"]
    yield "equations", "\n\n".join(text for text in (about["constants"], about["equations"]) if text)


def _of_a_model(about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    first, *others = about["receptors"]
    yield "receptors", ", ".join([f"{first} (unless `to` names another)" if others else first, *others])
    yield "default outlet", about["output"]
    yield "ports", ", ".join(about["ports"])
    if about["synapse_ports"]:
        ports = ", ".join(f"{port}_<name>" for port in about["synapse_ports"])
        yield "ports of each projection", f"{ports}; the name is that of the input"
    if about["options"]:
        yield "options", _choices(about["options"])
    if about["presets"]:
        yield "presets", "\n".join(f"{name}: {_listed(values)}" for name, values in about["presets"].items())
    if about["tolerance"] is not None:
        yield "tolerance", f"states of two backends differ by at most {about['tolerance']:g} in float64"


def _of_a_rule(about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    keys = [f"{about['kind']}: {{…}}", *(f"{one['key']}: …" for one in about["beside"])]
    yield "in a projection", f"learn: {{{', '.join(keys)}}}"
    for heading, key in (("synapse", "synapse"), ("presynaptic neuron", "pre"), ("postsynaptic neuron", "post")):
        if about[key]:
            yield f"kept for each {heading}", ", ".join(about[key])
    ports = ", ".join(f"{port}_<name>" for port in about["ports"])
    yield "ports", f"{ports}; the name is that of `learn`, else of the input"
    if about["receptors"]:
        yield "receptors", f"{', '.join(about['receptors'])}, which the population has beside those of its neurons"
    moved = "in ticks in which one of its neurons fires" if about["event_driven"] else "in every tick"
    yield "a synapse is computed", moved
    if about["options"]:
        yield "options", _choices(about["options"])
    if about["tolerance"] is not None:
        given = ", ".join(f"{bound:g}{f' with {one}' if one else ''}" for one, bound in about["tolerance"].items())
        yield "tolerance", f"weights of two backends differ by at most {given}"


def _choices(options: dict[str, list[str]]) -> str:
    return "; ".join(f"{name}: {' | '.join(valid)}" for name, valid in options.items())


def default_of(one: dict[str, Any]) -> str:
    """The default of a key as a graph file would say it, or that it has none."""
    if one["required"]:
        return "required"
    if "required_in" in one:
        return f"required in {one['required_in']}"
    value = one["default"]
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())

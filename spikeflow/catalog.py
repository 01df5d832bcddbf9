"""Kinds to classes: built-in ones by file name, others by entry point or by path, each imported when asked for."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from spikeflow.errors import ParameterError, nearest
from spikeflow.family import not_imported
from spikeflow.node import Decoder, Encoder, Neuron, Node, Sink, Source

ROLES: dict[str, type[Node]] = {
    "source": Source,
    "encoder": Encoder,
    "neuron": Neuron,
    "decoder": Decoder,
    "sink": Sink,
}
"""Role to the base of its classes, in the order in which events pass them."""

NODES_GROUP = "spikeflow.nodes"
MODELS_GROUP = "spikeflow.models"

_HERE = Path(__file__).parent


def article(role: str) -> str:
    """The role with its article: an encoder, a sink."""
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def kinds(role: str) -> list[str]:
    """The kinds of a role, sorted; built-in ones are listed without being imported."""
    found = set(_files(role))
    if role == "neuron":
        found.update(_entries(MODELS_GROUP))
    for name, entry in _entries(NODES_GROUP).items():
        if name not in found and _has_role(entry, role):
            found.add(name)
    return sorted(found)


def rules() -> dict[str, type[BaseModel]]:
    """The learning rules by kind: no nodes, but keys of what a projection says at `learn`."""
    found: dict[str, type[BaseModel]] = importlib.import_module("spikeflow.kernels.rules").rules()
    return found


def formats() -> dict[str, type[BaseModel]]:
    """The formats of payloads by kind: no nodes, but keys of what an `mqtt` node says at `payload`."""
    found: dict[str, type[BaseModel]] = importlib.import_module("spikeflow.nodes.payloads").formats()
    return found


def about(cls: type[BaseModel]) -> dict[str, Any]:
    """What the class of a node or of a learning rule says of itself beside its keys."""
    if issubclass(cls, Node):
        return cls.about()
    if cls in formats().values():
        return {}
    found: dict[str, Any] = importlib.import_module("spikeflow.kernels.about").about_rule(cls)
    return found


def node_class(role: str, kind: str | type, folder: Path | None = None) -> type[Node]:
    """The class of a kind.

    Args:
        role: source, encoder, neuron, decoder or sink.
        kind: a name, ``module:Class``, or, from Python, a class.
        folder: the folder of the graph file; modules in it can be named.

    Raises:
        ParameterError: no such kind, one of another role, or one that cannot be imported.
    """
    if isinstance(kind, type):
        return _as_node(role, kind, kind.__name__)
    if not isinstance(kind, str):
        hint = f"give the name of one, such as {kinds(role)[0]!r}"
        raise ParameterError(f"{kind!r} as the kind of {article(role)}", hint)
    if ":" in kind:
        return _as_node(role, _by_path(kind, folder), kind)
    if kind in _files(role):
        return _built_in(role, kind)
    if role == "neuron" and kind in _entries(MODELS_GROUP):
        return _as_node(role, _load(_entries(MODELS_GROUP)[kind], kind), kind)
    if kind in _entries(NODES_GROUP):
        return _as_node(role, _load(_entries(NODES_GROUP)[kind], kind), kind)
    what = "neuron model" if role == "neuron" else role
    raise ParameterError(f"unknown {what} {kind!r}", _instead(role, kind))


def _instead(role: str, kind: str) -> str:
    if others := [other for other in ROLES if other != role and kind in _files(other)]:
        known = " and ".join(article(other) for other in others)
        return f"it is {known}: write " + " or ".join(f"'{other}: {kind}'" for other in others)
    return nearest(kind, kinds(role))


def _package(role: str) -> str:
    return "spikeflow.kernels.models" if role == "neuron" else f"spikeflow.nodes.{role}s"


@cache
def _files(role: str) -> dict[str, str]:
    """Kinds to modules: `if` is in `if_.py`, as Python keeps the word for itself."""
    folder = _HERE.joinpath(*_package(role).split(".")[1:])
    names = sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))
    return {name.rstrip("_"): name for name in names}


def _entries(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    return _entries_of(group, tuple(sys.path), importlib.metadata.entry_points)


@lru_cache(maxsize=8)
def _entries_of(
    group: str, _path: tuple[str, ...], entry_points: Callable[..., Iterable[importlib.metadata.EntryPoint]]
) -> dict[str, importlib.metadata.EntryPoint]:
    """The entry points of all that is installed on a path: looking through it takes 10 ms, a graph asks per node."""
    return {entry.name: entry for entry in entry_points(group=group)}


def _has_role(entry: importlib.metadata.EntryPoint, role: str) -> bool:
    """Whether an entry point's class has a role; one that cannot be loaded has none until somebody names it."""
    try:
        found = _load(entry, entry.name)
    except ParameterError:
        return False
    return isinstance(found, type) and issubclass(found, ROLES[role])


def _load(entry: importlib.metadata.EntryPoint, kind: str) -> Any:
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # a third party's module may do anything while it is imported
        raise not_imported(kind, entry.value, error) from error


@cache
def _built_in(role: str, kind: str) -> type[Node]:
    name = f"{_package(role)}.{_files(role)[kind]}"
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise not_imported(kind, name, error) from error
    if role == "neuron":
        return _population(_only(module, _is_model, kind))
    base = ROLES[role]
    found: type[Node] = _only(module, lambda found: issubclass(found, base), kind)
    return found


def _is_model(found: type) -> bool:
    """Whether a class describes a neuron model, which is no node yet."""
    return issubclass(found, BaseModel) and not issubclass(found, Node) and callable(getattr(found, "update", None))


def _only(module: ModuleType, fits: Callable[[type], bool], kind: str) -> Any:
    """The one public class of a kind's file."""
    found = [c for c in _classes(module) if fits(c) and c.__module__ == module.__name__]
    if len(found) != 1:
        names = ", ".join(c.__name__ for c in found) or "none"
        raise ParameterError(
            f"{module.__name__} holds {len(found)} classes for {kind!r} ({names})", "leave one public class in the file"
        )
    return found[0]


def _classes(module: ModuleType) -> Iterator[type]:
    for name, value in vars(module).items():
        if isinstance(value, type) and not name.startswith("_"):
            yield value


def _population(model: type) -> type[Node]:
    """The node class of a neuron model."""
    population = importlib.import_module("spikeflow.nodes.population")
    found: type[Node] = population.population_class(model)
    return found


def _as_node(role: str, found: Any, kind: str) -> type[Node]:
    """Hold what a name stands for to its role."""
    if isinstance(found, type) and issubclass(found, Node):
        own = getattr(found, "role", None)
        if not issubclass(found, ROLES[role]):
            hint = f"write '{own}: {kind}'" if own in ROLES else f"derive it from {ROLES[role].__name__}"
            what = article(str(own)) if own in ROLES else "no node of any role"
            raise ParameterError(f"{kind!r} is {what}, not {article(role)}", hint)
        if inspect.isabstract(found):
            missing = ", ".join(sorted(found.__abstractmethods__))
            raise ParameterError(f"{kind!r} lacks {missing}", f"write the method {missing}")
        return found
    if role == "neuron" and isinstance(found, type) and _is_model(found):
        return _population(found)
    what = f"a class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
    raise ParameterError(f"{kind!r} is {what}, not {article(role)}", f"name a subclass of {ROLES[role].__name__}")


def class_at(path: str, folder: Path | None = None) -> Any:
    """What ``module:Class`` names.

    Args:
        path: such a text.
        folder: the folder of the graph file; modules in it can be named.

    Raises:
        ParameterError: there is no such thing, or it cannot be imported.
    """
    return _by_path(path, folder)


def _by_path(path: str, folder: Path | None) -> Any:
    """What ``module:Class`` names; the graph's folder comes first, then the current one, then what is installed."""
    module_name, _, name = path.partition(":")
    parts = module_name.split(".")
    if not all(part.isidentifier() for part in parts) or not name.isidentifier():
        raise ParameterError(f"{path!r} is no path of a class", "write it as my_module:MyClass")
    module = _import(module_name, path, folder)
    if not hasattr(module, name):
        raise ParameterError(
            f"{module_name} has no {name!r}",
            nearest(name, [c.__name__ for c in _classes(module) if c.__module__ == module.__name__]),
        )
    return getattr(module, name)


_local: dict[str, Path] = {}
"""Modules imported from a graph's folder, and that folder; another graph may have another module of that name."""


def _import(name: str, kind: str, folder: Path | None) -> ModuleType:
    top = name.partition(".")[0]
    folders = [place.resolve() for place in (folder, Path.cwd()) if place is not None]
    here = next((p for p in folders if (p / f"{top}.py").is_file() or (p / top).is_dir()), None)
    if here is not None and top in _local and _local[top] != here:
        for known in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
            del sys.modules[known]
    fresh = top not in sys.modules
    kept = list(sys.path)
    if here is not None:
        sys.path.insert(0, str(here))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (error.name == name or name.startswith(f"{error.name}.")):
            hint = "put it beside the graph file, or install it"
            raise ParameterError(f"there is no module {error.name!r}", hint) from error
        raise not_imported(kind, name, error) from error
    except (Exception, SystemExit) as error:  # the module is somebody else's: it may do anything while imported
        raise not_imported(kind, name, error) from error
    finally:
        sys.path[:] = kept
    if here is not None:
        if fresh:
            _local[top] = here
        if str(here) not in sys.path:
            sys.path.append(str(here))  # for what the module imports later
    return module

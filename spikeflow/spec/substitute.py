"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `${params.x}` in values, and `--set path=value` over them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeflow.errors import ParameterError, nearest
from spikeflow.secret import VARIABLE, Filled, written
from spikeflow.spec.reader import LARGEST, read_yaml, scalar
from spikeflow.spec.tree import Item, Place, Report, plain

TOP_KEYS = ("spikeflow", "name", "params", "time", "seed", "nodes", "monitor")

_NAME = re.compile(r"params(\.[^.:{}\s$]+)+|[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Reference:
    """One `${…}`: the name, then what follows it: nothing, `:-default` or `:?message`."""

    name: str
    operator: str = ""
    rest: str = ""


class _FaultyParamError(Exception):
    """A parameter is used that has an error of its own, which is reported where it stands."""


class _EndlessError(ParameterError):
    """Parameters that grow without end."""


class _LoopError(_EndlessError):
    """Parameters that are defined by each other, which is reported where they stand."""


def _parts(text: str) -> list[str | _Reference]:
    """Text and references in turn; `$${` is a plain `${`."""
    parts: list[str | _Reference] = []
    start = 0
    while (at := text.find("${", start)) >= 0:
        if at > start and text[at - 1] == "$":
            parts.append(text[start : at - 1] + "${")
            start = at + 2
            continue
        end = _closing(text, at + 2)
        if at > start:
            parts.append(text[start:at])
        parts.append(_reference(text[at + 2 : end]))
        start = end + 1
    if start < len(text):
        parts.append(text[start:])
    return parts


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ParameterError(f"'${{' without its '}}' in {text!r}", "close it, or write $${ for a plain ${")


def _reference(inner: str) -> _Reference:
    match = _NAME.match(inner)
    rest = inner[match.end() :] if match else inner
    if match and rest[:2] in ("", ":-", ":?"):
        return _Reference(match[0], rest[:2], rest[2:])
    raise ParameterError(
        f"'${{{inner}}}' names no variable", "write ${VAR}, ${VAR:-default}, ${VAR:?message} or ${params.name}"
    )


class Substitution:
    """Fills the references of a graph in; what cannot be filled in is reported and marked broken."""

    def __init__(self, root: Item, env: Mapping[str, str], report: Report) -> None:
        self.params = root.get("params") or Item({})
        self.env, self.report = env, report
        self._done: dict[int, Item] = {}
        self._open: list[str] = []
        self._filled = 0
        self._in_params = False
        self._node: str | None = None

    def graph(self, root: Item) -> Item:
        """The graph with every reference filled in."""
        if not isinstance(root.value, dict):
            return root
        filled = Item({}, root.place, root.keys)
        for key, child in root.value.items():
            if key == "nodes" and isinstance(child.value, dict):
                filled.value[key] = self._nodes(child)
            else:
                self._in_params = key == "params"
                filled.value[key] = self.item(child)
                self._in_params = False
        return filled

    def _nodes(self, nodes: Item) -> Item:
        filled = Item({}, nodes.place, nodes.keys)
        for name, child in nodes.value.items():
            self._node = name
            filled.value[name] = self.item(child)
        self._node = None
        return filled

    def item(self, item: Item) -> Item:
        """An item with every reference below it filled in."""
        known = self._done.get(id(item))
        if known is None:
            known = self._done[id(item)] = self._fill(item)
        return known

    def _fill(self, item: Item) -> Item:
        if isinstance(item.value, dict):
            filled = {key: self.item(child) for key, child in item.value.items()}
            return Item(filled, item.place, item.keys, item.origin)
        if isinstance(item.value, list):
            return Item([self.item(child) for child in item.value], item.place, {}, item.origin)
        if not isinstance(item.value, str) or "${" not in item.value:
            return item
        try:
            return self._text(item)
        except ParameterError as error:
            if self._in_params or not isinstance(error, _LoopError):
                self.report.add(item, error.found, error.hint, node=self._node)
        except _FaultyParamError:
            pass
        return Item(item.value, item.place, broken=True)

    def _text(self, item: Item) -> Item:
        parts = _parts(item.value)
        if len(parts) == 1 and isinstance(parts[0], _Reference):
            reference = parts[0]
            value = self._value(reference)
            if isinstance(value, Item):
                return _placed(value, item.place, item.origin or reference.name)
            return Item(value, item.place, {}, item.origin or f"${{{reference.name}}}")
        text = self._joined(parts)
        if len(text) > LARGEST:
            raise _EndlessError("text that grows without end", "refer to fewer parameters")
        return Item(text, item.place, {}, item.origin)

    def _joined(self, parts: list[str | _Reference]) -> str:
        """The text of several parts; where it holds secrets, one has to know which of them came from variables."""
        texts = [part if isinstance(part, str) else self._as_text(part) for part in parts]
        text, plain_text = "".join(texts), "".join(map(written, texts))
        return text if text == plain_text else Filled.of(text, plain_text)

    def _count(self) -> None:
        self._filled += 1
        if self._filled > LARGEST:
            raise _EndlessError(f"parameters that make more than {LARGEST} values", "refer to fewer parameters")

    def _as_text(self, reference: _Reference) -> str:
        value = self._value(reference)
        found = plain(value) if isinstance(value, Item) else value
        if isinstance(found, dict | list) or found is None:
            kind = "nothing" if found is None else "more than one value"
            raise ParameterError(f"{reference.name} is {kind} and stands inside of text", "name a single value")
        if isinstance(found, str):
            return found
        return str(found).lower() if isinstance(found, bool) else str(found)

    def _value(self, reference: _Reference) -> Item | str:
        if reference.name.startswith("params."):
            found = self._param(reference)
            if found is not None:
                return found
            what, set_it = f"there is no {reference.name}", self._nearest_param(reference.name)
        else:
            text = self.env.get(reference.name)
            if text or (text is not None and not reference.operator):
                return Filled.of(text, VARIABLE)
            what = f"the variable {reference.name} is {'not set' if text is None else 'empty'}"
            set_it = f"set it, or write ${{{reference.name}:-default}}"
        if reference.operator == ":-":
            return self._joined(_parts(reference.rest))
        raise ParameterError(what, reference.rest or set_it)

    def _param(self, reference: _Reference) -> Item | None:
        """The value of a parameter, itself filled in; None where there is none."""
        name, opened = reference.name, self._open
        if name in opened:
            raise _LoopError(
                f"{' → '.join([*opened[opened.index(name) :], name])} is defined by itself", "give it a value"
            )
        opened.append(name)
        try:
            found: Item | None = self.params
            for key in name.split(".")[1:]:
                found = self._inner(found, deep=False).get(key) if found is not None else None
            return self._inner(found) if found is not None else None
        except _EndlessError:
            raise
        except ParameterError:
            raise _FaultyParamError from None
        finally:
            opened.pop()

    def _inner(self, item: Item, deep: bool = True) -> Item:
        """As `item`, but a reference that cannot be filled in is an error for whoever asks."""
        self._count()
        if isinstance(item.value, str) and "${" in item.value:
            return self._text(item)
        if deep and isinstance(item.value, dict):
            return Item({key: self._inner(child) for key, child in item.value.items()}, item.place, item.keys)
        if deep and isinstance(item.value, list):
            return Item([self._inner(child) for child in item.value], item.place)
        return item

    def _nearest_param(self, name: str) -> str:
        found: Item | None = self.params
        for key in name.split(".")[1:-1]:
            found = found.get(key) if found is not None else None
        known = list(found.value) if found is not None and isinstance(found.value, dict) else []
        return nearest(name.rpartition(".")[2], known) if known else "define it under 'params'"


def override(root: Item, changes: Mapping[str, Any], report: Report) -> Item:
    """The graph with each `path: value` of `--set` put over it; a path that leads nowhere is reported."""
    for path, text in changes.items():
        try:
            root = _changed(root, path.split("."), 0, path, text)
        except ParameterError as error:
            report.add((0, 0), f"--set {path}={text}: {error.found}", error.hint)
    return root


def _changed(item: Item, keys: list[str], at: int, path: str, text: Any) -> Item:
    """A copy of `item` with another value at `keys[at:]`; anchors are shared, so nothing is changed in place."""
    key, last = keys[at], at == len(keys) - 1
    origin = f"--set {path}"
    if isinstance(item.value, list):
        if not key.isdecimal() or int(key) >= len(item.value):
            have = f"0 to {len(item.value) - 1}" if item.value else "none"
            raise ParameterError(f"{'.'.join(keys[:at])} has no entry {key!r}", f"its entries are {have}")
        index = int(key)
        old = item.value[index]
        new = _value(text, old, origin) if last else _changed(old, keys, at + 1, path, text)
        return Item([*item.value[:index], new, *item.value[index + 1 :]], item.place, item.keys, item.origin)
    if item.value is None or at == 0:
        item = item if isinstance(item.value, dict) else Item({}, item.place)
    if not isinstance(item.value, dict):
        raise ParameterError(f"{'.'.join(keys[:at])} is a single value", f"write --set {'.'.join(keys[:at])}=…")
    _known_key(item, keys, at, last)
    place = item.keys.get(key, item.place)
    old = item.value.get(key) or Item(None, place)
    new = _value(text, old, origin) if last else _changed(old, keys, at + 1, path, text)
    return Item({**item.value, key: new}, item.place, {**item.keys, key: place}, item.origin)


def _known_key(item: Item, keys: list[str], at: int, last: bool) -> None:
    """Refuse a key that leads nowhere; what a node's keys may be is held by the check of the whole graph."""
    key = keys[at]
    if at == 0 and key not in TOP_KEYS:
        raise ParameterError(f"there is no {key!r}", nearest(key, TOP_KEYS))
    inside = keys[0] in ("params", "nodes") and at > 0
    if inside and key not in item.value and (keys[0] == "params" or at == 1):
        what = f"no node {key!r}" if keys[0] == "nodes" else f"no {'.'.join(keys[: at + 1])}"
        raise ParameterError(f"there is {what}", nearest(key, item.value))
    if last and at == 0 and key in ("nodes", "params"):
        raise ParameterError(f"{key!r} as a whole cannot be set", f"write --set {key}.name…=value")


def _value(text: Any, old: Item, origin: str) -> Item:
    """The value of `--set`, as YAML would read it."""
    if not isinstance(text, str):
        return Item(text, old.place, {}, origin)
    if text[:1] in ("[", "{", '"', "'"):
        silent = Report(None)
        found = read_yaml(text, silent)
        if found is not None and not len(silent):
            return _placed(found, old.place, origin)
    return Item(scalar(text), old.place, {}, origin)


def _placed(item: Item, place: Place, origin: str) -> Item:
    if isinstance(item.value, dict):
        inner: Any = {key: _placed(child, place, origin) for key, child in item.value.items()}
        return Item(inner, place, dict.fromkeys(item.value, place), origin)
    if isinstance(item.value, list):
        return Item([_placed(child, place, origin) for child in item.value], place, {}, origin)
    return Item(item.value, place, {}, origin)

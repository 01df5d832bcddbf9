"""YAML 1.2 text to items with places."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from spikeflow.errors import said
from spikeflow.spec.tree import DEEPEST, Item, Place, Report

LARGEST = 100_000
"""Values of a graph file, aliases counted each time; more is a mistake, or an attack."""

_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")}

# What the parser says (a part of it) to what we say; the first that fits.
_PHRASES = [
    ("found character '\\t'", "a tab where the indentation should be", "indent with spaces"),
    ("got '{'", "a '{' inside of { } or [ ]", 'put the text in quotes, such as "${params.x}"'),
    ("mapping values are not allowed", "a ':' where none can be", "put the text in quotes, or check the indentation"),
    ("sequence entries are not allowed", "a '-' where no list can begin", "begin the list on a line of its own"),
    ("could not find expected ':'", "a line without 'key: value'", "write 'key: value', or check the indentation"),
    ("<block end>", "this line does not fit the lines above", "indent it as much as the lines it belongs to"),
    ("<document start>", "this line does not fit the lines above", "indent it as much as the lines it belongs to"),
    ("but found another document", "a second document", "a graph file holds one; remove the '---'"),
    ("incompatible YAML", "a version of YAML that cannot be read", "remove the %YAML line; graph files are YAML 1.2"),
    ("unknown escape character", "an unknown escape", "write \\\\ for a backslash, or use single quotes"),
]
_OPEN = {
    "while scanning a quoted scalar": ("a quote that is never closed", "close it"),
    "while parsing a flow mapping": ("a '{' that is not closed, or a ',' that is missing", "close it with '}'"),
    "while parsing a flow sequence": ("a '[' that is not closed, or a ',' that is missing", "close it with ']'"),
}
_BRACKET = re.compile(r"[][{}]")
_FAR = 4
_BREAK = re.compile(r"\r\n|\n|\r")
_BAD_START = re.compile(r"found character '(.)' that cannot start")
_ALIAS = re.compile(r"found undefined alias '(.*)'")


def scalar(text: str) -> Any:
    """What unquoted text means in YAML 1.2: nothing, true or false, a number, else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def read_yaml(text: str, report: Report) -> Item | None:
    """The items of a text.

    Returns:
        The top item; None where the text is no YAML, which is then in the report as one error.
    """
    if (deep := _too_deep(text)) is not None:
        report.add(place_of(text, deep), "nested too deeply", f"a graph has at most {DEEPEST} levels")
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = YAML(typ="rt", pure=True).compose(text)
    except YAMLError as error:
        report.add(*_broken(error, text))
        return None
    except RecursionError:
        report.add((1, 1), "nested too deeply", f"a graph has at most {DEEPEST} levels")
        return None
    except Exception as error:  # the parser lets a few others through, such as ValueError for odd directives
        report.add((1, 1), f"this is no YAML ({said(error)})", "correct the text")
        return None
    if node is None:
        return Item(None, (1, 1))
    reader = _Reader(text, report)
    item = reader.item(node, 0)
    return None if reader.hopeless else item


def _too_deep(text: str) -> int | None:
    """Where brackets are nested too deeply, if they are by far: the parser's time grows with the square of that."""
    depth = first = 0
    for match in _BRACKET.finditer(text):
        depth += 1 if match[0] in "[{" else -1
        if depth == DEEPEST + 1:
            first = match.start()
        if depth > _FAR * DEEPEST:  # some of them may be in texts and comments
            return first
    return None


def _broken(error: YAMLError, text: str) -> tuple[Place, str, str]:
    """Place, what was found and what would work, of a text that is no YAML."""
    if isinstance(error, ReaderError):
        return (
            place_of(text, error.position),
            f"the character U+{ord(text[error.position]):04X}",
            "remove it; YAML takes printable characters",
        )
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None) or ""
    mark = getattr(error, "problem_mark", None)
    began = getattr(error, "context_mark", None)
    found, hint = f"this is no YAML: {problem}", "correct the text here"
    for part, ours, works in _PHRASES:
        if part in problem:
            found, hint = ours, works
            break
    else:
        if match := _ALIAS.search(problem):
            found, hint = f"unknown alias *{match[1]}", f"put &{match[1]} before a value above"
        elif match := _BAD_START.search(problem):
            found, hint = f"a value that begins with {match[1]!r}", "put it in quotes"
        elif context in _OPEN:
            (found, hint), mark = _OPEN[context], began or mark
    return place_of(text, mark.index if mark is not None else 0), found, hint


def place_of(text: str, index: int) -> Place:
    """The line and column of a character; of the end of the last line where the text ends before it."""
    if index >= len(text):
        index = len(text.rstrip("\r\n"))
    return _place(_starts(text), index)


def _starts(text: str) -> list[int]:
    """Where each line begins."""
    return [0, *(match.end() for match in _BREAK.finditer(text))]


def _place(starts: list[int], index: int) -> Place:
    # Our own count: the parser takes other characters for line ends than editors do.
    line = bisect_right(starts, index)
    return line, index - starts[line - 1] + 1


class _Reader:
    def __init__(self, text: str, report: Report) -> None:
        self.text, self.report = text, report
        self._starts = _starts(text)
        self.hopeless = False
        self._known: dict[int, tuple[Item, int]] = {}
        self._open: set[int] = set()
        self._count = 0

    def item(self, node: Node, depth: int) -> Item:
        """The item of a parser's node; an alias gives the item of its anchor."""
        place = _place(self._starts, node.start_mark.index)
        if self.hopeless:
            return Item(None, place, broken=True)
        if id(node) in self._open:
            return self._give_up(place, "an alias to what it is a part of", "write the values out")
        if depth > DEEPEST:
            return self._give_up(place, "nested too deeply", f"a graph has at most {DEEPEST} levels")
        known = self._known.get(id(node))
        before = self._count
        self._count += known[1] if known else 1
        if self._count > LARGEST:
            return self._give_up(place, f"more than {LARGEST} values", "use fewer aliases")
        if known:
            return known[0]
        self._open.add(id(node))
        item = self._convert(node, place, depth)
        self._open.discard(id(node))
        self._known[id(node)] = item, self._count - before
        return item

    def _give_up(self, place: Place, found: str, hint: str) -> Item:
        self.hopeless = True
        self.report.add(place, found, hint)
        return Item(None, place, broken=True)

    def _convert(self, node: Node, place: Place, depth: int) -> Item:
        if str(node.tag) not in _TAGS:
            self.report.add(place, f"unknown tag {str(node.tag)!r}", "remove it")
            return Item(None, place, broken=True)
        if isinstance(node, MappingNode):
            return self._mapping(node, place, depth)
        if isinstance(node, SequenceNode):
            return Item([self.item(child, depth + 1) for child in node.value], place)
        return Item(self._scalar(node), place)

    def _mapping(self, node: MappingNode, place: Place, depth: int) -> Item:
        item = Item({}, place)
        merged: list[Item] = []
        for key_node, value_node in node.value:
            at = _place(self._starts, key_node.start_mark.index)
            if not isinstance(key_node, ScalarNode) or self._scalar(key_node) is None:
                kind = "an empty key" if isinstance(key_node, ScalarNode) else "a key that is not text"
                self.report.add(at, kind, "write a name before the ':'")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                merged.append(self.item(value_node, depth + 1))
            elif key in item.value:
                first = item.keys[key][0]
                self.report.add(at, f"the key {key!r} is here twice, first on line {first}", "keep one of them")
            else:
                item.keys[key] = at
                item.value[key] = self.item(value_node, depth + 1)
        for part in merged:
            self._merge(item, part)
        return item

    def _merge(self, item: Item, part: Item) -> None:
        """Take over the keys of `<<: *part` that the mapping itself does not have."""
        for source in part.value if isinstance(part.value, list) else [part]:
            if not isinstance(source.value, dict):
                if not source.broken:
                    self.report.add(source, "'<<' with something else than a mapping", "write '<<: *name'")
                continue
            for key, child in source.value.items():
                if key not in item.value:
                    item.keys[key], item.value[key] = source.keys[key], child

    def _scalar(self, node: Node) -> Any:
        """The value of a scalar; quoted text and `!!str` stay text."""
        written = self.text[node.start_mark.index : node.end_mark.index]
        if getattr(node, "style", None) is not None or "!!str" in written:
            return str(node.value)
        return scalar(node.value)

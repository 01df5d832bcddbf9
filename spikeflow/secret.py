"""Secrets: passwords that come from a file or from a variable, and that nobody gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema
from pydantic_core import core_schema

from spikeflow.errors import ParameterError, Problem, why

VARIABLE = "\0"
"""Stands for what came from a variable in `Filled.written`."""
_WHERE = "write ${MQTT_PASSWORD}, or {file: password.txt}"


class Filled(str):
    """A text of a graph file some of which came from variables of the environment.

    Attributes:
        written: the text with `VARIABLE` in place of what came from variables.
    """

    written: str

    @classmethod
    def of(cls, text: str, written: str) -> Self:
        """A text, and what of it is written in the file."""
        found = cls(text)
        found.written = written
        return found


def written(value: str) -> str:
    """What of a text is written in the graph file."""
    return value.written if isinstance(value, Filled) else value


class Secret:
    """A text that is not shown, or the file that holds it."""

    __slots__ = ("_text", "path")

    def __init__(self, text: str = "", path: Path | None = None) -> None:
        self._text, self.path = text, path

    def reveal(self) -> str:
        """The text; that of a file is read anew each time, without the end of its line.

        Raises:
            OSError: the file cannot be read.
            UnicodeDecodeError: it is no text.
        """
        return self._text if self.path is None else self.path.read_text("utf-8").removesuffix("\n").removesuffix("\r")

    def problem(self) -> str | None:
        """What is wrong with the file."""
        try:
            return None if self.reveal() else f"the file {self.path} is empty"
        except OSError as error:
            return f"the file {self.path} cannot be read: {why(error)}"
        except UnicodeDecodeError:
            return f"the file {self.path} is no UTF-8 text"

    def problems(self, *path: str) -> list[Problem]:
        """As `problem`, at its key."""
        found = None if self.path is None else self.problem()
        return [] if found is None else [Problem(path, found, "put the password into it, and nothing else")]

    def __repr__(self) -> str:
        return "Secret(…)" if self.path is None else f"Secret(path={str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self.path) == (other._text, other.path)

    def __hash__(self) -> int:
        return hash((self._text, self.path))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """An instance; whoever writes a node out sees where it is from."""
        shown = core_schema.plain_serializer_function_ser_schema(repr, return_schema=core_schema.str_schema())
        return core_schema.is_instance_schema(cls, serialization=shown)

    def __deepcopy__(self, memo: Any) -> Secret:
        return self


def _secret(value: Any, info: ValidationInfo) -> Any:
    """A secret; one that is written out in a graph file is refused."""
    if value is None or isinstance(value, Secret):
        return value
    context = info.context or {}
    if isinstance(value, Mapping):
        name = value.get("file")
        if list(value) != ["file"] or not isinstance(name, str | Path) or not str(name):
            raise ParameterError(f"{info.field_name} is a mapping without its file", _WHERE)
        path = Path(name).expanduser()
        folder = context.get("folder")
        return Secret(path=path if folder is None or path.is_absolute() else Path(folder) / path)
    if not isinstance(value, str):
        raise ParameterError(f"{info.field_name} is no text", _WHERE)
    if context.get("file") is not None and VARIABLE not in written(value):
        raise ParameterError(f"{info.field_name} is written out, where everybody can read it", _WHERE)
    return Secret(value)


SecretText = Annotated[
    Secret,
    BeforeValidator(_secret),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"\$\{.+\}"},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "description": "the file that holds it"}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
"""A secret of a graph file: `${VARIABLE}`, or `{file: …}`; from Python a text will do."""

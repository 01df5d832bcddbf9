"""Keys: what copies are told apart by, as a field of a node."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from spikeflow.errors import ParameterError


def parse_key(text: Any) -> Any:
    """A key such as ``machine``, which stands in topics as ``{machine}``.

    Raises:
        ParameterError: a text that cannot stand between braces.
    """
    if isinstance(text, str) and not text.isidentifier():
        raise ParameterError(f"{text!r} is not a key", "a name, such as machine; a topic then says {machine}")
    return text


Key = Annotated[str, BeforeValidator(parse_key), WithJsonSchema({"type": "string", "examples": ["machine"]})]

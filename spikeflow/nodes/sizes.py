"""How many neurons or channels: a whole number, or a shape whose product it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from spikeflow.errors import ParameterError


class Shaped(int):
    """A size that remembers the shape it is the product of."""

    shape: tuple[int, ...]

    def __new__(cls, shape: Sequence[int]) -> Self:
        """The product of the shape."""
        made = super().__new__(cls, math.prod(shape))
        made.shape = tuple(shape)
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What a copy is made from."""
        return (self.shape,)


def shape_of(size: int | None) -> tuple[int, ...]:
    """The shape that a size was given as; empty where it was a number."""
    return size.shape if isinstance(size, Shaped) else ()


def _size(value: Any, whole: ValidatorFunctionWrapHandler) -> int:
    if not isinstance(value, list | tuple):
        return value if isinstance(value, Shaped) else int(whole(value))
    if not value:
        raise ParameterError("a shape without parts", "write a whole number, or a list such as [32, 26, 26]")
    return Shaped([int(whole(part)) for part in value])


_WHOLE = {"type": "integer", "minimum": 1}

Size = Annotated[
    int,
    Field(ge=1),
    WrapValidator(_size),
    WithJsonSchema({"anyOf": [_WHOLE, {"type": "array", "items": _WHOLE, "minItems": 1}], "examples": [[32, 26, 26]]}),
]
"""A whole number of 1 or more, or a shape such as `[32, 26, 26]`; an int in either case, see `shape_of`."""

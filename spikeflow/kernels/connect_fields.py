"""What a graph file says of a projection, as pydantic types: `connect`, `weights`, `delay` and `layout`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from spikeflow.errors import ParameterError, nearest
from spikeflow.kernels import convolution
from spikeflow.kernels.convolution import AvgPool, Conv1d, Conv2d, SumPool
from spikeflow.kernels.parameters import number, resolved
from spikeflow.kernels.receptive_fields import SpatialFields
from spikeflow.kernels.weight_files import File
from spikeflow.units import format_seconds, parse_seconds

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


# ---- which neurons


class Probability(_Part):
    """Each pair of neurons is connected with this probability, once."""

    probability: float = Field(ge=0, le=1)


class Indegree(_Part):
    """Each neuron gets this many synapses, from neurons drawn with replacement."""

    indegree: int = Field(ge=0)


class Outdegree(_Part):
    """Each neuron or channel gives this many synapses, to neurons drawn with replacement."""

    outdegree: int = Field(ge=0)


_RANDOM: dict[str, type[_Part]] = {"probability": Probability, "indegree": Indegree, "outdegree": Outdegree}
_WORDS = ("all", "one_to_one", "flatten", *convolution.CONVOLUTIONS)


def _connect(value: Any) -> Any:
    if isinstance(value, str) and value in convolution.CONVOLUTIONS:
        value = {value: {}}
    return _one_of(value, {**_RANDOM, **convolution.KINDS}, _WORDS, "connect")


def _one_of(value: Any, kinds: Mapping[str, type[BaseModel]], plain: tuple[str, ...], what: str) -> Any:
    """The part that a mapping with one key, or a plain word, names."""
    if isinstance(value, BaseModel) or value in plain:
        return value
    shown = (*plain, *(f"{{{name}: …}}" for name in kinds))
    if isinstance(value, str):
        raise ParameterError(f"{what}: {value!r} is not known", nearest(value, (*plain, *kinds)))
    if not isinstance(value, dict) or len(value) != 1:
        raise ParameterError(f"{what} is {value!r}", f"write one of {', '.join(shown)}")
    (name,) = value
    if name not in kinds:
        raise ParameterError(f"{what}: {name!r} is not known", nearest(str(name), (*plain, *kinds)))
    try:
        return kinds[name].model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in (what, *first["loc"]))
        if isinstance(cause := first.get("ctx", {}).get("error"), ParameterError):
            raise ParameterError(f"{path}: {cause.found}", cause.hint) from None
        if first["type"] == "missing":
            raise ParameterError(f"{path} is missing", "write it too") from None
        if first["type"] == "model_type":
            raise ParameterError(f"{path} is {first['input']!r}", "write a mapping") from None
        if first["type"] == "extra_forbidden":
            known = getattr(kinds[name].model_fields[name].annotation, "model_fields", ())
            raise ParameterError(f"{path} is not known", nearest(str(first["loc"][-1]), known)) from None
        raise ParameterError(f"{path} is {first['input']!r}", first["msg"][:1].lower() + first["msg"][1:]) from None


Connect = Annotated[
    Literal["all", "one_to_one", "flatten"] | Probability | Indegree | Outdegree | Conv1d | Conv2d | SumPool | AvgPool,
    PlainValidator(_connect),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_WORDS)},
                *({"type": "object", "properties": {name: {"type": "number"}}, "required": [name]} for name in _RANDOM),
                *(convolution.schema(name) for name in convolution.KINDS),
            ]
        }
    ),
]
"""Which neurons a projection joins: all, one_to_one, flatten, {probability: p}, {indegree: k}, {outdegree: k}, or
the windows of {conv1d: …}, {conv2d: …}, {sum_pool: …} or {avg_pool: …}."""


# ---- how strongly


class Range(_Part):
    """Uniform weights."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.high:
            raise ParameterError(f"low {self.low:g} is above high {self.high:g}", "swap them")
        return self


class Moments(_Part):
    """Normal weights."""

    mean: float
    std: float = Field(ge=0)


class Normal(_Part):
    """Weights from a normal distribution, one draw a synapse."""

    normal: Moments


class Uniform(_Part):
    """Weights from a uniform distribution, one draw a synapse."""

    uniform: Range


class Constant(_Part):
    """The same weight everywhere."""

    constant: float


_WEIGHTS: dict[str, type[BaseModel]] = {
    "normal": Normal, "uniform": Uniform, "constant": Constant, "spatial_fields": SpatialFields,
}  # fmt: skip


def _file(value: str, info: ValidationInfo) -> File:
    path, _, key = value.partition("#")
    if not path.endswith((".npy", ".npz")):
        hint = "write a number, or name a .npy, a .npz#key or a sparse .npz"
        raise ParameterError(f"{value!r} is no file of weights", hint)
    return File(path=resolved(path, info), key=key or None)


def _weights(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, np.ndarray):
        return value
    value = number(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not np.isfinite(value):
            raise ParameterError(f"a weight of {value}", "write a finite number")
        return float(value)
    if isinstance(value, str):
        return _file(value, info)
    return _one_of(value, _WEIGHTS, (), "weights")


Weights = Annotated[
    float | Normal | Uniform | Constant | SpatialFields | File | npt.NDArray[Any],
    PlainValidator(_weights),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": r"\.np[yz](#.+)?$"},
                *({"type": "object", "required": [name], "properties": {name: {}}} for name in _WEIGHTS),
            ]
        }
    ),
]
"""How strong synapses are: a number, a generator, or a file; from Python also an array [post, pre]."""


# ---- how late


def _delay(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, str) and value.partition("#")[0].endswith((".npy", ".npz")):
        return _file(value, info)
    if isinstance(value, str):
        value = parse_seconds(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"a delay of {value!r}", "write a time such as 2 ms, or a .npy file in seconds")
    elif value and (info.context or {}).get("units") == "required":
        raise ParameterError(f"a delay of {value} has no unit", f"write '{value} ms'")
    if not 0 <= value < float("inf"):
        raise ParameterError(f"a delay of {format_seconds(value)}", "a delay is not negative")
    return float(value)


Delay = Annotated[
    float | File | npt.NDArray[Any],
    PlainValidator(_delay),
    WithJsonSchema(
        {"type": "string", "examples": ["2 ms"], "description": "a time, or a .npy or .npz file in seconds"}
    ),
]
"""How late a spike acts: one time, or a file in seconds with one per presynaptic neuron or one per synapse."""

Layout: TypeAlias = Literal["post_pre", "pre_post"]

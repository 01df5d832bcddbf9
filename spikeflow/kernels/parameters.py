"""Parameters of neuron models: one value, one per neuron, or a draw for each neuron; times carry their unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from spikeflow import noise
from spikeflow.errors import ParameterError, instead, nearest, shown, why
from spikeflow.units import format_seconds, parse_hertz, parse_seconds

Array: TypeAlias = npt.NDArray[np.float64]


def load_array(path: Path, what: str) -> Array:
    """The numbers of a `.npy` file as float64.

    Raises:
        ParameterError: no such file, not an array of numbers, or a value that is not finite.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ParameterError(f"there is no file {shown(path)!r}", instead(path, (".npy",))) from None
    except OSError as error:
        raise ParameterError(f"{shown(path)!r} cannot be read: {why(error)}", f"write {what} with numpy.save") from None
    except (ValueError, EOFError):
        raise ParameterError(f"{shown(path)!r} is no whole .npy file", f"write {what} with numpy.save") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ParameterError(f"{shown(path)!r} does not hold numbers", f"write {what} with numpy.save")
    numbers = array.astype(np.float64)
    finite(numbers, repr(shown(path)))
    return numbers


def finite(numbers: npt.NDArray[np.floating], what: object) -> None:
    """Raise ParameterError where an array, which `what` names, holds a number that is not finite."""
    if not np.isfinite(numbers).all():
        first = np.argwhere(~np.isfinite(numbers))[0].tolist()
        hint = f"write finite numbers; the first that is not is {numbers[tuple(first)]} at {first}"
        raise ParameterError(f"{what} holds values that are not finite", hint)


_NUMERAL = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


def number(value: Any) -> Any:
    """The number that a text spells, as variables of the environment do; anything else as it is."""
    return float(value) if isinstance(value, str) and _NUMERAL.fullmatch(value) else value


def resolved(text: str, info: ValidationInfo) -> Path:
    """The path that `text` names, counted from the folder of the graph file."""
    return Path((info.context or {}).get("folder", ".")) / text


def _per_neuron(array: Array) -> Array:
    if array.ndim != 1 or array.size == 0:
        raise ParameterError(f"an array of shape {list(array.shape)}", "a parameter is one value, or one per neuron")
    if not np.isfinite(array).all():
        raise ParameterError("a value that is not finite", "write finite numbers")
    return array


@dataclass(frozen=True)
class Drawn:
    """A value for each neuron from a distribution, drawn once the size of the population is known.

    Attributes:
        kind: ``normal``, ``uniform`` or ``constant``.
        first: the mean, the lower end, or the value.
        second: the standard deviation, or the upper end.
    """

    kind: str
    first: float
    second: float = 0.0

    def values(self, size: int, key: int) -> Array:
        """[size] draws, each from the counter (key, neuron): the same whatever the size or the order of fields."""
        neurons = np.arange(size)
        if self.kind == "normal":
            return np.asarray(self.first + self.second * noise.normal(key, neurons, 0))
        return np.asarray(self.first + (self.second - self.first) * noise.uniform(key, neurons, 0))


def settled(values: Mapping[str, Any], seed: int, node: str, size: int, what: str = "parameter") -> dict[str, Any]:
    """The values with a draw for each of `size` neurons in the place of each distribution.

    Args:
        seed, node, what: what the draws depend on, beside the names of the values.
    """
    return {
        name: value.values(size, noise.key(seed, node, f"{what} {name}")) if isinstance(value, Drawn) else value
        for name, value in values.items()
    }


_DRAWS = {"normal": ("mean", "std"), "uniform": ("low", "high"), "constant": ("value",)}
_GENERATORS = "{normal: {mean: …, std: …}}, {uniform: {low: …, high: …}} or {constant: …}"


def _drawn(value: Mapping[str, Any], info: ValidationInfo, read: Callable[[Any, ValidationInfo], Any]) -> Drawn | float:
    """What a mapping says of a distribution; `read` reads each number of it."""
    if len(value) != 1 or next(iter(value)) not in _DRAWS:
        hint = f"write one of {_GENERATORS}"
        raise ParameterError(f"a parameter that is {dict(value)!r}", hint)
    ((kind, inner),) = value.items()
    if kind == "constant":
        return float(read(inner, info))
    names = _DRAWS[kind]
    if not isinstance(inner, Mapping):
        raise ParameterError(f"{kind}: {inner!r}", f"give {' and '.join(names)}")
    for key in inner:
        if key not in names:
            raise ParameterError(f"{kind} knows no {key!r}", nearest(str(key), names))
    for key in names:
        if key not in inner:
            raise ParameterError(f"{kind} lacks {key!r}", f"give {' and '.join(names)}")
    first, second = (float(read(inner[name], info)) for name in names)
    if kind == "uniform" and first > second:
        raise ParameterError(f"low {first:g} is above high {second:g}", "swap them")
    if kind == "normal" and second < 0:
        raise ParameterError(f"std {second:g} is below zero", "give a width of zero or more")
    return Drawn(kind, first, second)


def _value(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Drawn):
        return value
    if isinstance(value, Mapping):
        return _drawn(value, info, _value)
    if isinstance(value, np.ndarray):
        return _per_neuron(value.astype(np.float64))
    if isinstance(value, str) and value.endswith(".npy"):
        return _per_neuron(load_array(resolved(value, info), "one value per neuron"))
    value = number(value)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ParameterError(
            f"{value!r} is not a number",
            "write a number, a .npy file with one value per neuron, or {normal: {mean: …, std: …}}",
        )
    if not np.isfinite(value):
        raise ParameterError(f"{value!r} is not finite", "write a finite number")
    return float(value)


def _measured(
    value: Any,
    info: ValidationInfo,
    read: Callable[[Any, ValidationInfo], Any],
    parse: Callable[[str], float],
    unit: str,
) -> Any:
    """A quantity: a text with its unit, a file, a distribution, or from Python a number."""
    if isinstance(value, Mapping):
        return _drawn(value, info, read)
    if isinstance(value, str) and not value.endswith(".npy"):
        value = parse(value)
    elif isinstance(value, int | float) and (info.context or {}).get("units") == "required":
        raise ParameterError(f"{value} has no unit", f"write '{value} {unit}'")
    return _value(value, info)


def _time(value: Any, info: ValidationInfo) -> Any:
    value = _measured(value, info, _time, parse_seconds, "ms")
    if isinstance(value, Drawn):
        return value
    if np.any(np.less_equal(value, 0)):
        least = float(np.min(value))
        raise ParameterError(f"{format_seconds(least) if least else 0} is not above zero", "write a time such as 10 ms")
    return value


def _span(value: Any, info: ValidationInfo) -> float:
    found = _time(value, info)
    if not isinstance(found, float):
        raise ParameterError(f"{value!r} is not one time", "write one time, such as 10 ms")
    return found


def _matrix(value: Any, info: ValidationInfo) -> Any:
    if value is None:
        return None
    if isinstance(value, str) and value.endswith(".npy"):
        value = load_array(resolved(value, info), "a matrix")
    if not isinstance(value, np.ndarray):
        raise ParameterError(f"{value!r} is no matrix", "name a .npy file with one number for each pair of neurons")
    if value.ndim != 2 or value.shape[0] != value.shape[1]:
        raise ParameterError(f"an array of shape {list(value.shape)}", "give [neurons, neurons]")
    if not np.isfinite(value).all():
        raise ParameterError("a value that is not finite", "write finite numbers")
    return value.astype(np.float64)


def _plain_matrix(value: Array | None) -> Any:
    return None if value is None else value.tolist()


def _frequency(value: Any, info: ValidationInfo) -> Any:
    value = _measured(value, info, _frequency, parse_hertz, "Hz")
    if isinstance(value, Drawn):
        return value
    if np.any(np.less(value, 0)):
        raise ParameterError(f"{float(np.min(value)):g} Hz is below zero", "write a frequency such as 40 Hz")
    return value


def _refractory(value: Any, info: ValidationInfo) -> Any:
    value = number(value)
    if isinstance(value, str):
        seconds = parse_seconds(value)
        if seconds < 0:
            raise ParameterError(f"{value!r} is below zero", "write a time such as 2 ms, or a number of ticks")
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ParameterError(f"{value!r} is no refractory period", "write a time such as 2 ms, or a number of ticks")
    return float(value)


def times(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a model that are time constants."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(one, PlainValidator) and one.func in (_time, _span) for one in field.metadata)
    )


def _plain(value: float | Array | Drawn) -> Any:
    if isinstance(value, Drawn):
        return {value.kind: dict(zip(_DRAWS[value.kind], (value.first, value.second), strict=True))}
    return value.tolist() if isinstance(value, np.ndarray) else value


_GENERATOR = {"type": "object", "maxProperties": 1, "properties": {name: {"type": "object"} for name in _DRAWS}}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"\.npy$"}, _GENERATOR]}
_DURATION = {
    "type": "string",
    "examples": ["10 ms"],
    "description": "a time, or a .npy file in seconds, one per neuron",
}
_FILE = {"type": "string", "pattern": r"\.npy$"}
_OSCILLATION = {
    "type": "string",
    "examples": ["40 Hz"],
    "description": "a frequency, or a .npy file in hertz, one per neuron",
}
_PERIOD = {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["2 ms", 5]}

Value = Annotated[float | Array, PlainValidator(_value), PlainSerializer(_plain), WithJsonSchema(_NUMBER)]
"""A parameter without a unit: one value, or one per neuron (from a graph file the path of a `.npy` file).

A distribution becomes one value per neuron before a model computes with it (`NeuronModel.settled`)."""

Time = Annotated[float | Array, PlainValidator(_time), PlainSerializer(_plain), WithJsonSchema(_DURATION)]
"""A time constant in seconds, above zero: one value, or one per neuron."""

Span = Annotated[float, PlainValidator(_span), WithJsonSchema({"type": "string", "examples": ["10 ms"]})]
"""A time constant in seconds, above zero, that all share."""

Matrix = Annotated[Array | None, PlainValidator(_matrix), PlainSerializer(_plain_matrix), WithJsonSchema(_FILE)]
"""A number for each pair of neurons [post, pre]: from a graph file the path of a `.npy` file."""

Frequency = Annotated[float | Array, PlainValidator(_frequency), PlainSerializer(_plain), WithJsonSchema(_OSCILLATION)]
"""A frequency in hertz, not below zero: one value, or one per neuron."""

Refractory = Annotated[float | str, PlainValidator(_refractory), WithJsonSchema(_PERIOD)]
"""How long a neuron is silent after a spike: ticks as a number, or a time."""

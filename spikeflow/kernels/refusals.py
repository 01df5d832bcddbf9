"""Keys that people bring along from other packages, and what to write instead."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from spikeflow.errors import ParameterError
from spikeflow.kernels.parameters import number, times

_TRAINING = ("method", "alpha")
_INVERSE = "_inv"


def refused(model: type[Any], key: str, value: Any) -> ParameterError | None:
    """Why a neuron model does not take a key that is none of its fields, where more can be said than the nearest one.

    Args:
        model: the class of the model.
        value: what stands at the key.
    """
    if key in _TRAINING:
        return ParameterError(f"{key} only shapes gradients in training", "leave it out; spikes do not depend on it")
    if reason := inverse(model, key, value):
        return reason
    options: dict[str, tuple[str, ...]] = model.choices()
    if len(only := options.get(key, ())) == 1:
        return ParameterError(f"{key}: this model knows {only[0]} alone", "leave it out")
    has = {"preset": model.presets, "refractory": model.refracts, "allow_unstable": model.linear} | options
    if key in has and not has[key]:
        return ParameterError(f"this model has no {key}", "leave it out")
    return None


def inverse(model: type[BaseModel], key: str, value: Any) -> ParameterError | None:
    """What to write where a key says one over a time constant that is a field."""
    stem = key.removesuffix(_INVERSE)
    if stem != key and stem in times(model):
        return ParameterError(f"{key} is one over a time constant", f"write {stem}: {_time(value)}")
    return None


def _time(value: Any) -> str:
    inverse = number(value)
    if isinstance(inverse, bool) or not isinstance(inverse, int | float) or not 0 < inverse < float("inf"):
        return "10 ms, a time"
    seconds = 1.0 / inverse
    unit, size = next((one for one in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)) if seconds >= one[1]), ("ns", 1e-9))
    return f"{seconds / size:.6g} {unit}"

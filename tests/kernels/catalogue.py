"""Every model of the catalogue in each of its options, with inputs that make all of them fire."""

from __future__ import annotations

import functools
import itertools
import zlib
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from spikeflow.catalog import kinds, node_class
from spikeflow.kernels import Group, Network, NeuronModel, Projection, Train
from spikeflow.kernels.parameters import Matrix, Time, Value
from spikeflow.kernels.synapses import dense
from spikeflow.nodes.population import Population

from .cuda_networks import Outcome, outcome

SIZE, INPUTS, TICKS, DT = 37, 20, 30, 1e-3
FLOAT32 = 2e-5
"""How far states may differ in float32, relative to their size, where a model's passes through `exp`."""


@functools.cache
def models() -> dict[str, type[NeuronModel]]:
    """Kind to class."""
    found = {kind: node_class("neuron", kind) for kind in kinds("neuron")}
    return {kind: node.model_class for kind, node in found.items() if issubclass(node, Population)}


def is_a(field: FieldInfo, kind: Any) -> bool:
    """Whether a field is declared as `Time`, `Value` or another of their kind."""
    return kind.__metadata__[0] in field.metadata


def needed_by(cls: type[NeuronModel], size: int = SIZE) -> dict[str, Any]:
    """The fields that a model cannot do without."""
    found: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        if is_a(field, Matrix):
            found[name] = np.random.default_rng(2).normal(0, 0.02, (size, size))
        elif field.is_required():
            found[name] = 10e-3 if is_a(field, Time) else 1.0
    return found


def _varied(cls: type[NeuronModel]) -> dict[str, Any]:
    """Values for each neuron: of a time constant, else of the first parameter that is not zero."""
    fields = cls.model_fields.items()
    for kind, least, most in ((Time, 0.7, 1.6), (Value, 0.9, 1.1)):
        for name, field in fields:
            if is_a(field, kind) and (field.is_required() or field.default):
                middle = needed_by(cls)[name] if field.is_required() else field.default
                return {name: middle * np.linspace(least, most, SIZE)}
    return {}


def _choices(annotation: Any) -> tuple[Any, ...]:
    """What a field may be, where these are a few words."""
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
        words = [word for one in get_args(annotation) for word in _choices(one)]
        return (None, *words) if words else ()
    return ()


def combinations(cls: type[NeuronModel]) -> list[dict[str, Any]]:
    """Each combination of a model's options."""
    choices: dict[str, tuple[Any, ...]] = dict(cls.choices())
    for name, field in cls.model_fields.items():
        if name not in NeuronModel.model_fields:
            choices[name] = _choices(field.annotation)
    open_ones = {name: choice for name, choice in choices.items() if len(choice) > 1}
    return [dict(zip(open_ones, chosen, strict=True)) for chosen in itertools.product(*open_ones.values())]


@functools.cache
def variants(cls: type[NeuronModel]) -> list[NeuronModel]:
    """A model in each combination of its options, as each preset, and with a refractory period and varied neurons."""
    needed, varied, combined = needed_by(cls), _varied(cls), combinations(cls)
    found = [cls(**needed, **options) for options in combined]
    found += [cls(**needed, preset=preset) for preset in cls.presets]
    silence = {"refractory": 2.5} if cls.refracts else {}
    found += [cls(**{**needed, **options, **varied, **silence}) for options in (combined[0], combined[-1])]
    return found


Chosen: TypeAlias = tuple[tuple[str, int], ...]
"""Kinds, and which of their variants."""


def every(kind: str) -> Chosen:
    """All variants of a kind."""
    return tuple((kind, place) for place in range(len(variants(models()[kind]))))


def network(chosen: Chosen, backend: str, precision: Any, scale: float | None = None, recorded: bool = True) -> Network:
    """Each variant as a population of its own; `scale` is how strong the input is, else what makes it fire."""
    groups, projections = [], []
    for kind, place in chosen:
        model, name = variants(models()[kind])[place], f"{kind}/{place}"
        record = {state: (np.arange(SIZE), 1) for state in model.state if recorded}
        groups.append(Group(name, model, SIZE, precision, record=record))
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for receptor in model.receptors:
            weights = rng.normal(0.3, 1, (INPUTS, SIZE)) * (scale or strengths(kind)[place])
            projections.append(Projection("x", name, dense(weights), receptor))
    return Network(groups, [Train("x", INPUTS)], projections, dt=DT, backend=backend)


@functools.cache
def strengths(kind: str) -> dict[int, float]:
    """For each variant of a kind, the least power of three at which it fires: in float32, on NumPy."""
    found: dict[int, float] = {}
    left = every(kind)
    for scale in (3.0**power for power in range(-4, 9)):
        net = network(left, "numpy", "float32", scale)
        quiet = silent(net, outcome(net, ticks=TICKS))
        found |= {place: scale for _, place in left if f"{kind}/{place}" not in quiet}
        left = tuple((kind, place) for _, place in left if place not in found)
        if not left:
            return found
    raise AssertionError(f"no input makes {', '.join(quiet)} fire")


def silent(net: Network, found: Outcome) -> list[str]:
    """The populations that did not fire once a neuron in a run, of those that can."""
    can = [group.name for group in net.groups if group.model.spikes and group.model.hears(own=False)]
    return [name for name in can if len(found[f"{name} spikes neuron"]) < 4 * SIZE]


def alone() -> dict[float | None, Chosen]:
    """Of `by_tolerance` those that nothing looks at after a tick: neither couplings nor spikes that carry a state."""

    def is_plain(model: NeuronModel) -> bool:
        return model.graded is None and not model.couplings(DT)

    every_one = by_tolerance().items()
    return {k: tuple(one for one in of if is_plain(variants(models()[one[0]])[one[1]])) for k, of in every_one}


def run(chosen: Chosen, backend: str, precision: Any, window: int = TICKS, recorded: bool = True) -> Outcome:
    """All that can be seen of a run; each population that can has fired."""
    net = network(chosen, backend, precision, recorded=recorded)
    found = outcome(net, ticks=TICKS, window=window)
    assert silent(net, found) == []
    return found


def differences(left: Outcome, right: Outcome, precision: str, tolerance: float | None) -> list[str]:
    """What two runs do not share: any bit, or, where there is a tolerance, spikes and states beyond it."""
    if tolerance is None:
        return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
    found, within = [], tolerance if precision == "float64" else FLOAT32
    for name in sorted(left.keys() | right.keys()):
        if name.startswith("saved"):
            continue
        if not name.endswith((" 2", " value")):
            if left.get(name) != right.get(name):
                found.append(name)
            continue
        one, other = (np.frombuffer(side[name], precision) for side in (left, right))
        if one.shape != other.shape or not np.allclose(one, other, rtol=within, atol=within):
            found.append(name)
    return found


def by_tolerance() -> dict[float | None, Chosen]:
    """All variants of all kinds, by how far their states may differ between backends."""
    found: dict[float | None, Chosen] = {}
    for kind, cls in models().items():
        found[cls.tolerance] = found.get(cls.tolerance, ()) + every(kind)
    return found

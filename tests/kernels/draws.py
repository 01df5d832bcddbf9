"""What Hypothesis draws of a population of any model of the catalogue, and all that can be seen of its run.

The shape comes first: it decides the text that a backend compiles. Any numbers of one shape run through one text.
"""

from __future__ import annotations

import functools
import statistics
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import assume
from hypothesis import strategies as st

from spikeflow.errors import EventError
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Synapses, Train
from spikeflow.kernels.parameters import Frequency, Matrix, Time, Value
from spikeflow.kernels.parts import Precision
from spikeflow.kernels.synapses import dense, one_to_one, sparse

from . import blocks, catalogue

TICKS = 30
DTS = (1e-3, 1e-4, 1e-5)
SIZES = (1, 2, 37, 63, 64, 65, 130)


@dataclass(frozen=True)
class Shape:
    """All that the text of a population depends on.

    Attributes:
        options: of the model, with what is chosen.
        spread: the fields that have one value per neuron.
        silence: whether there is a refractory period.
    """

    kind: str
    options: tuple[tuple[str, Any], ...]
    spread: tuple[str, ...]
    silence: bool
    precision: Precision

    @property
    def cls(self) -> type[NeuronModel]:
        """The model's class."""
        return catalogue.models()[self.kind]


@functools.cache
def shapes(kind: str) -> tuple[Shape, ...]:
    """Each combination of options, with and without silence, no field spread, all of them, and half of them."""
    cls = catalogue.models()[kind]
    fields = numbers(cls)
    found: list[Shape] = []
    for options in catalogue.combinations(cls):
        for silence in (False, True)[: 1 + cls.refracts]:
            rng = np.random.default_rng(zlib.crc32(repr((kind, options, silence)).encode()))
            half = tuple(name for name in fields if rng.random() < 0.5)
            for spread in dict.fromkeys(((), tuple(fields), half)):
                precision: Precision = "float64" if len(found) % 2 else "float32"
                found.append(Shape(kind, tuple(options.items()), spread, silence, precision))
    return tuple(found)


def few(kind: str) -> tuple[Shape, ...]:
    """The plainest shape and its opposite: between them, each option is met."""
    first, *_, last = shapes(kind)
    everything = replace(last, spread=tuple(numbers(last.cls)))
    return replace(first, precision="float32"), replace(everything, precision="float64")


def numbers(cls: type[NeuronModel]) -> dict[str, Any]:
    """The fields that are one number or one per neuron, with what kind of number."""
    kinds = (Time, Frequency, Value)
    return {
        name: kind for name, field in cls.model_fields.items() for kind in kinds if catalogue.is_a(field, kind)
    }  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A population with its input and the split of the ticks into windows; weights and events come from the seed.

    Attributes:
        strength: of the input, in units of what makes the model fire.
        busy: the chance of an event at each channel and tick.
        own: what kind of synapses the population has to itself, and how strong they are.
        hold: whether the last graded value of a channel acts until the next one.
        coarse: whether weights and values are quarters, so that states may lie at a threshold.
    """

    shape: Shape
    model: NeuronModel
    dt: float
    size: int
    inputs: int
    seed: int
    strength: float
    busy: float
    own: tuple[str, float]
    receptor: str
    hold: bool
    coarse: bool
    initial: bool
    skip: bool
    cuts: tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn, shape: Shape) -> Case:
    """A case of a shape."""
    size = draw(st.sampled_from(SIZES))
    seed = draw(st.integers(0, 2**32 - 1))
    model = draw(models(shape, size, seed))
    return Case(
        shape,
        model,
        dt=valid_dt(model, size, draw(st.sampled_from(DTS))),
        size=size,
        inputs=draw(st.integers(1, 20)),
        seed=seed,
        strength=draw(st.sampled_from([1.0, 10.0, 3.0, 100.0, 0.3, 0.0])),
        busy=draw(st.sampled_from([0.2, 0.02, 0.7])),
        own=(draw(st.sampled_from(["none", "one_to_one", "dense", "sparse"])), draw(st.floats(-1, 1))),
        receptor=draw(st.sampled_from(model.receptors)),
        hold=draw(st.booleans()),
        coarse=draw(st.booleans()),
        initial=draw(st.booleans()),
        skip=draw(st.booleans()),
        cuts=tuple(draw(st.lists(st.integers(1, TICKS - 1), max_size=6))),
    )


@st.composite
def models(draw: st.DrawFn, shape: Shape, size: int, seed: int) -> NeuronModel:
    """A model of a shape, its numbers around those of the defaults or of a preset."""
    cls = shape.cls
    preset = draw(st.sampled_from([None, *cls.presets]))
    off = {name: draw(st.floats(-1, 1)) for name in numbers(cls)}
    periods = st.floats(0.25, 8) | st.integers(1, 5) | st.sampled_from(["2 ms", "0.7 ms"])
    return model_of(shape, size, seed, preset, off, draw(periods) if shape.silence else 0, draw(st.floats(-3, 3)))


def model_of(
    shape: Shape,
    size: int,
    seed: int,
    preset: str | None = None,
    off: Mapping[str, float] | None = None,
    silence: float | str = 2.5,
    coupled: float = 1.0,
) -> NeuronModel:
    """A model of a shape.

    Args:
        off: how far each number is from its usual value, between -1 and 1.
        silence: the refractory period, where the shape has one.
        coupled: what its matrices are multiplied by.
    """
    cls, rng = shape.cls, np.random.default_rng(seed)
    given: dict[str, Any] = catalogue.needed_by(cls, size) | dict(shape.options)
    given |= {"preset": preset} if preset is not None else {}
    given |= {"refractory": silence if shape.silence else 0} if cls.refracts else {}
    plain, kinds = cls(**given), numbers(cls)
    usual = {name: float(getattr(plain, name)) for name in kinds}
    largest = max((abs(usual[name]) for name, kind in kinds.items() if kind is Value), default=1.0)
    for name, kind in kinds.items():
        x = (off or {}).get(name, 0.0)
        if kind is Time:
            middle = usual[name] * 4.0**x
        else:
            middle = usual[name] * (1 + 0.75 * x) if usual[name] else 0.5 * largest * x
        given[name] = middle * rng.uniform(0.75, 1.25, size) if name in shape.spread else middle
    for name, field in cls.model_fields.items():
        if catalogue.is_a(field, Matrix):
            given[name] = given[name] * coupled
    if cls.reset_below is not None and set(cls.reset_below) <= given.keys() and given.get("reset_by") != "subtract":
        low, high = cls.reset_below
        if low in shape.spread:
            given[low] = np.minimum(given[low], given[high])
        else:
            given[low] = min(given[low], float(np.min(given[high])))
    return cls(**given)


def lively(shape: Shape) -> Case:
    """A case of a shape with its usual numbers, in which a model that can fire does."""
    size, seed = 65, 1
    model = model_of(shape, size, seed)
    return Case(
        shape, model, valid_dt(model, size, DTS[0]), size, inputs=15, seed=seed, strength=10.0, busy=0.3,
        own=("sparse", 0.3), receptor=model.receptors[0], hold=True, coarse=not shape.spread, initial=False, skip=True,
        cuts=(1, 12),
    )  # fmt: skip


def valid_dt(model: NeuronModel, size: int, coarsest: float) -> float:
    """The longest tick that the model takes with these numbers."""
    for dt in DTS[DTS.index(coarsest) :]:
        if all(problem.warning for problem in model.problems(dt, size)):
            return dt
    assume(False)
    raise AssertionError


@functools.cache
def unit(kind: str) -> float:
    """How strong an input makes a model fire, as a rule."""
    return statistics.median(catalogue.strengths(kind).values())


def network(case: Case, backend: str) -> Network:
    """The population of a case, driven by spikes and by graded values, and by itself."""
    n, size, model, scale = case.inputs, case.size, case.model, case.strength * unit(case.shape.kind)
    rng = np.random.default_rng(case.seed)
    record = {state: (np.arange(size)[::-1], 1 + place) for place, state in enumerate(model.state)}
    initial = {state: rng.normal(0, 0.5, size) for state in model.state} if case.initial else {}
    group = Group("n", model, size, case.shape.precision, initial, record)
    projections = [
        Projection("x", "n", dense(some(case, rng, 0.3, scale, n, size), rng.integers(0, 3, n)), receptor)
        for receptor in model.receptors
    ]
    graded = synapses(case, "sparse", rng, n, 0.3 * scale, 0)
    projections.append(Projection("y", "n", graded, case.receptor, hold=case.hold))
    kind, strength = case.own
    if kind != "none":
        own = synapses(case, kind, rng, size, strength * unit(case.shape.kind), 1)
        projections.append(Projection("n", "n", own, case.receptor))
    trains = [Train("x", n), Train("y", n, valued=True)]
    return Network([group], trains, projections, dt=case.dt, seed=case.seed, backend=backend, skip=case.skip)


def some(case: Case, rng: np.random.Generator, mean: float, scale: float, *shape: int) -> npt.NDArray[np.float64]:
    """Weights or values."""
    found = rng.normal(mean, 1, shape) * scale
    return np.rint(4 * found) / 4 if case.coarse else found


def synapses(case: Case, kind: str, rng: np.random.Generator, pre: int, scale: float, least: int) -> Synapses:
    """Synapses of a kind onto the population, with delays of `least` ticks or more."""
    if kind == "one_to_one":
        return one_to_one(some(case, rng, 0, scale, pre), rng.integers(least, least + 3, pre))
    if kind == "dense":
        return dense(some(case, rng, 0, scale, pre, case.size), least)
    count = 3 * max(pre, case.size)
    ends = (rng.integers(0, pre, count), rng.integers(0, case.size, count))
    return sparse(pre, case.size, *ends, some(case, rng, 0, scale, count), rng.integers(least, least + 4, count))


def arriving(case: Case) -> dict[str, Events]:
    """The events of both trains, some of them twice; none in the last third, so that what can rest does."""
    rng = np.random.default_rng(case.seed + 1)
    found = {}
    for name in ("x", "y"):
        chance = rng.random((TICKS, case.inputs))
        chance[2 * TICKS // 3 :] = 1.0
        tick, channel = np.nonzero(chance < case.busy)
        tick, channel = np.repeat(tick, 1 + (tick % 5 == 0)), np.repeat(channel, 1 + (tick % 5 == 0))
        value = some(case, rng, 0.5, 1.0, tick.size) if name == "y" else None
        found[name] = Events(tick, channel.astype(np.uint32), value)
    return found


Seen = Mapping[str, npt.NDArray[Any] | str]


def seen(case: Case, backend: str, cuts: Sequence[int] = ()) -> Seen:
    """Spikes, what they carry, records and the state at the end; or the error that ends the run."""
    net = network(case, backend)
    try:
        found = blocks.run(net, arriving(case), TICKS, cuts)
    except EventError as error:
        return {"error": str(error)}
    return found | {f"saved {name}": np.asarray(value) for name, value in net.save().items()}


def differences(one: Seen, other: Seen, case: Case) -> list[str]:
    """What two runs do not share: any bit, or, where the model has a tolerance, states that lie further apart."""
    return sorted(
        name for name in one.keys() | other.keys() if not _agree(name, one.get(name), other.get(name), case.shape)
    )


def _agree(name: str, one: Any, other: Any, shape: Shape) -> bool:
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return bool(one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if shape.cls.tolerance is None or not name.startswith(("saved state/", *_recorded(shape))):
        return one.tobytes() == other.tobytes()
    within = shape.cls.tolerance if shape.precision == "float64" else catalogue.FLOAT32
    return np.allclose(one, other, rtol=within, atol=within, equal_nan=True)


def _recorded(shape: Shape) -> tuple[str, ...]:
    return tuple(f"n/{state}/value" for state in shape.cls.state)

"""One population on arrays, for notebooks and tests: the kernels that graphs run, without a graph."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from spikeflow.catalog import node_class
from spikeflow.errors import ParameterError, Problem, first_of, nearest
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Train, build
from spikeflow.kernels.parameters import Value, settled
from spikeflow.kernels.parts import Precision
from spikeflow.kernels.refusals import inverse, refused
from spikeflow.kernels.rule import Learning, LearningRule
from spikeflow.kernels.rules import kind_of, rules
from spikeflow.units import Seconds, parse_seconds

Array: TypeAlias = npt.NDArray[Any]
State: TypeAlias = Mapping[str, Any]
"""What the next tick depends on; only `simulate` looks into it."""

_KEYWORDS = (
    "weights", "recurrent", "delay", "initial", "precision", "backend", "seed", "record", "state", "name", "learn",
    "learn_recurrent",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a population did.

    Attributes:
        spikes: [ticks, neurons], where each neuron spiked; the values of the spikes where they are graded, else 0.
        states: state variable to [ticks, neurons], after each tick; `result.v` is `result.states["v"]`.
        state: from here another call goes on.
        learned: [post, pre] weights after the last tick, of what learns: by receptor, `recurrent <receptor>` for those
            of the population to itself.
    """

    spikes: Array
    states: Mapping[str, Array]
    state: State
    learned: Mapping[str, Array] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Array:
        states: Mapping[str, Array] = self.__dict__.get("states", {})
        if name not in states:
            raise AttributeError(f"no state {name!r} was recorded; {nearest(name, states)}")
        return states[name]


def simulate(
    model: str | type[NeuronModel] | NeuronModel,
    arriving: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    dt: Seconds | str = 1e-3,
    weights: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    recurrent: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    delay: Any = 0.0,
    initial: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    backend: str = "auto",
    seed: int = 0,
    record: Iterable[str] | None = None,
    state: State | None = None,
    name: str = "neurons",
    learn: Rule = None,
    learn_recurrent: Rule = None,
    **parameters: Any,
) -> Simulation:
    """Step one population on arrays, as a graph would.

    Args:
        model: the kind of a graph file, the class, or a model with its parameters.
        arriving: [ticks, inputs] of spikes (booleans, or whole numbers 0 and 1) or of currents (floats); a mapping of
            receptors to such arrays where not all goes to the model's first one.
        dt: length of a tick: seconds, or a text such as ``"1 ms"``.
        weights: [post, pre]; unless given, input n goes to neuron n with the weight 1. Receptor to matrix where
            several receptors are given to.
        recurrent: [post, pre] from the population to itself, one tick later; a mapping of receptors to such arrays
            where it does not go to the model's first one.
        delay: how much later what arrives acts: a time, or seconds per input or per synapse.
        initial: state variable to its value before the first tick: one, one per neuron, or a distribution.
        precision: the arithmetic of the state.
        backend: ``"numba"``, ``"numpy"``, or the fastest one there.
        seed, name: what draws of parameters and of noise depend on: a graph's seed, and the name of a node in it.
        record: the state variables to keep; all unless given.
        state: the `state` of a call on the ticks before these, with the same model and weights.
        learn, learn_recurrent: how the weights change: a rule's kind, ``{"stdp": {"w_max": 2}}``, or a rule. What a
            rule hears beside spikes, such as `reward`, is a receptor of `arriving` like the model's own.
        parameters: those of the model, times as seconds or texts with their unit.

    Raises:
        ParameterError: something does not fit, with what would.
        EventError: a state that is no longer a number, with its neuron and tick.

    >>> import numpy as np
    >>> import spikeflow
    >>> result = spikeflow.simulate("lif", np.full((5, 1), 2.0), dt="1 ms", tau_mem="10 ms")
    >>> result.spikes[:, 0].tolist()
    [False, False, False, True, False]
    >>> result.spikes.shape, result.v.shape
    ((5, 1), (5, 1))
    """
    made = _model(model, parameters)
    tick = _seconds(dt)
    learning = {"": _learning(learn, made, "learn"), "recurrent ": _learning(learn_recurrent, made, "learn_recurrent")}
    heard = (*made.receptors, *(name for one in learning.values() if one for name in one.rule.receptors))
    receptors = tuple(dict.fromkeys(heard))
    given = {
        receptor: _given(receptor, array) for receptor, array in _by_receptor(arriving, receptors, "arriving").items()
    }
    if len(lengths := {len(array) for array in given.values()}) > 1:
        raise ParameterError(
            f"arrays of {' and '.join(map(str, sorted(lengths)))} ticks arrive", "give every receptor as many"
        )
    (ticks,) = lengths
    forward = _matrices(weights, receptors, "weights", tuple(given))
    own = _matrices(recurrent, receptors, "recurrent")
    size = _size(given, forward, own)
    delays = _by_receptor(delay, receptors, "delay") if isinstance(delay, Mapping) else dict.fromkeys(given, delay)
    made = made.settled(seed, name, size)
    _report(made.problems(tick, size))
    for one in learning.values():
        _report(one.rule.problems(tick) if one else [])
    if learn_recurrent is not None and not own:
        raise ParameterError("learn_recurrent without recurrent", "give [post, pre] weights that can learn")
    kept = _recorded(made, record)
    first = _resume_at(state, of := _outline(made, size, given, own, precision, learning))
    trains, projections, events = [], [], {}
    for receptor, array in given.items():
        source = f"{name}<{receptor}"
        valued = array.dtype.kind == "f"
        at, index = np.nonzero(array)
        trains.append(Train(source, array.shape[1], valued))
        late = delays.get(receptor, 0.0)
        late = parse_seconds(late) if isinstance(late, str) else np.asarray(late, np.float64)
        synapses = build(array.shape[1], size, dt=tick, weights=forward.get(receptor), delay=late)
        projections.append(Projection(source, name, synapses, receptor, learning=_named(learning[""], receptor, made)))
        events[source] = Events(first + at, index.astype(np.uint32), array[at, index] if valued else None)
    for receptor, matrix in own.items():
        synapses = build(size, size, dt=tick, weights=matrix, delay=tick)
        how = _named(learning["recurrent "], receptor, made, "recurrent ")
        projections.append(Projection(name, name, synapses, receptor, learning=how))
    chosen = {variable: (np.arange(size), 1) for variable in kept}
    group = Group(name, made, size, precision, _initial(made, initial, state, seed, name, size), chosen)
    network = Network([group], trains, projections, dt=tick, seed=seed, backend=backend)
    if state is not None:
        network.load({key: value for key, value in state.items() if key not in ("of", "tick")})
    result = network.step(first, ticks, events)[name] if ticks else None
    spikes = np.zeros((ticks, size), bool if made.graded is None else precision)
    states = {variable: np.zeros((ticks, size), precision) for variable in kept}
    if result is not None:
        spikes[result.t - first, result.neuron] = True if made.graded is None else result.value
        states = {variable: result.recorded[variable][2].reshape(ticks, size) for variable in kept}
    learned = {p.learning.name: network.weights(name, p.learning.name) for p in projections if p.learning}
    return Simulation(spikes, states, {"of": of, "tick": first + ticks, **network.save()}, learned)


Rule: TypeAlias = str | Mapping[str, Mapping[str, Any]] | LearningRule | None
"""A learning rule: its kind, its kind with its parameters, or made already."""


def _learning(rule: Rule, model: NeuronModel, what: str) -> Learning | None:
    """How synapses learn: as it is said, else as the model has it."""
    if rule is None:
        own = model.learns()
        return None if own is None else Learning(own)
    if isinstance(rule, LearningRule):
        return Learning(rule)
    stated: Any = {rule: {}} if isinstance(rule, str) else rule
    if not isinstance(stated, Mapping):
        raise ParameterError(f"{what} is {rule!r}", "name a rule, or give {kind: {…}}, or a rule with its parameters")
    if len(stated) != 1:
        raise ParameterError(f"{what} names {len(stated)} rules", f"name one: {', '.join(rules())}")
    ((kind, given),) = stated.items()
    if kind not in rules():
        raise ParameterError(f"{what}: unknown rule {kind!r}", nearest(str(kind), rules()))
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ParameterError(f"{what}: {kind}: {given!r}", "give the rule's parameters as a mapping")
    for key, value in given.items():
        if key not in (known := rules()[kind].model_fields):
            raise inverse(rules()[kind], key, value) or ParameterError(f"{kind} has no {key!r}", nearest(key, known))
    try:
        return Learning(rules()[kind](**given))
    except ValidationError as error:
        raise first_of(error, f"{what}: ") from None


def _named(learning: Learning | None, receptor: str, model: NeuronModel, of: str = "") -> Learning | None:
    """The learning of what goes to one receptor of the model; what a rule itself hears does not learn."""
    return replace(learning, name=of + receptor) if learning and receptor in model.receptors else None


def _model(model: str | type[NeuronModel] | NeuronModel, parameters: Mapping[str, Any]) -> NeuronModel:
    if isinstance(model, NeuronModel):
        if parameters:
            raise ParameterError(
                f"{', '.join(parameters)} beside a model that is made", "give them to the model itself"
            )
        return model
    cls: Any = model
    if not (isinstance(model, type) and issubclass(model, NeuronModel)):
        cls = getattr(node_class("neuron", model), "model_class", None)
        if cls is None:
            raise ParameterError(f"{model!r} is a node of its own", "name a neuron model; a graph runs other nodes")
    for key, value in parameters.items():
        if key not in cls.model_fields:
            known = [*cls.model_fields, *_KEYWORDS]
            raise refused(cls, key, value) or ParameterError(f"{cls.__name__} has no {key!r}", nearest(key, known))
    try:
        made: NeuronModel = cls(**parameters)
    except ValidationError as error:
        raise first_of(error) from None
    return made


def _seconds(dt: Seconds | str) -> float:
    seconds = parse_seconds(dt) if isinstance(dt, str) else float(dt)
    if not 0 < seconds < float("inf"):
        raise ParameterError(f"dt of {dt}", "a tick lasts longer than nothing: give seconds, or '1 ms'")
    return seconds


def _by_receptor(given: Any, receptors: tuple[str, ...], what: str) -> dict[str, Any]:
    """What goes to each receptor; the first one where that is not said."""
    if not isinstance(given, Mapping):
        return {receptors[0]: given}
    if not given:
        raise ParameterError(f"{what} names no receptor", f"give an array to {' or '.join(receptors)}")
    for receptor in given:
        if receptor not in receptors:
            raise ParameterError(f"{what}: no receptor {receptor!r}", nearest(str(receptor), receptors))
    return dict(given)


def _numbers(array: npt.ArrayLike, what: str) -> Array:
    try:
        found = np.asarray(array)
    except ValueError:
        raise ParameterError(f"{what} is a list of rows of several lengths", "give an array of numbers") from None
    if found.dtype.kind not in "biuf":
        raise ParameterError(f"{what} holds {found.dtype}", "give an array of numbers")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        place = np.argwhere(~np.isfinite(found))[0].tolist()
        raise ParameterError(f"{what} holds {found[tuple(place)]} at {place}", "give finite numbers")
    return found


def _given(receptor: str, array: npt.ArrayLike) -> Array:
    found = _numbers(array, f"what arrives at {receptor!r}")
    if found.ndim != 2:
        hint = "give [ticks, inputs]" + ("; arriving[:, None] is one input" if found.ndim == 1 else "")
        raise ParameterError(f"an array of shape {list(found.shape)} arrives at {receptor!r}", hint)
    if found.shape[1] == 0:
        raise ParameterError(f"no input arrives at {receptor!r}", "give [ticks, inputs] with one input or more")
    if found.dtype.kind in "iu" and ((found < 0) | (found > 1)).any():
        worst = int(found[(found < 0) | (found > 1)][0])
        raise ParameterError(f"a spike of {worst} arrives at {receptor!r}", "spikes are 0 or 1; currents are floats")
    return found if found.dtype.kind == "f" else found.astype(bool)


def _matrices(given: Any, receptors: tuple[str, ...], what: str, used: tuple[str, ...] = ()) -> dict[str, Array]:
    """The matrix of each receptor that has one; `used` are the receptors at which something arrives."""
    if given is None:
        return {}
    if used and not isinstance(given, Mapping):
        if len(used) > 1:
            raise ParameterError(
                f"one array of weights for {' and '.join(used)}", f"give {{{used[0]!r}: …}}, receptor to [post, pre]"
            )
        given = {used[0]: given}
    found = {}
    for receptor, array in _by_receptor(given, receptors, what).items():
        if array is None:
            continue
        if used and receptor not in used:
            raise ParameterError(f"weights for {receptor!r}, where nothing arrives", nearest(receptor, used))
        matrix = found[receptor] = _numbers(array, what)
        if matrix.ndim != 2 or matrix.shape[0] == 0:
            raise ParameterError(f"{what} of shape {list(matrix.shape)}", "give [post, pre], or leave them out")
    return found


def _size(given: Mapping[str, Array], weights: Mapping[str, Array], recurrent: Mapping[str, Array]) -> int:
    """How many neurons there are, where all arrays agree."""
    sizes = [(matrix.shape[0], f"weights {list(matrix.shape)}") for matrix in weights.values()]
    for matrix in recurrent.values():
        if matrix.shape[0] != matrix.shape[1]:
            raise ParameterError(
                f"recurrent of shape {list(matrix.shape)}", "give as many rows as columns: [post, pre]"
            )
        sizes.append((matrix.shape[0], f"recurrent {list(matrix.shape)}"))
    for receptor, array in given.items():
        inputs = array.shape[1]
        if receptor not in weights:
            sizes.append((inputs, f"{inputs} inputs one to one"))
        elif weights[receptor].shape[1] != inputs:
            shape = list(weights[receptor].shape)
            turned = ": they fit transposed" if shape[0] == inputs else ""
            raise ParameterError(
                f"weights of shape {shape} for {inputs} inputs{turned}", f"give [post, pre], here [neurons, {inputs}]"
            )
    if len({size for size, _ in sizes}) > 1:
        found = ", ".join(f"{size} neurons by {what}" for size, what in sizes)
        raise ParameterError(found, "make them agree; weights and recurrent are [post, pre]")
    return int(sizes[0][0])


def _report(problems: Iterable[Problem]) -> None:
    for problem in problems:
        path = ".".join(map(str, problem.path))
        found = problem.found if problem.found.startswith(path) else f"{path}: {problem.found}"
        if not problem.warning:
            raise ParameterError(found, problem.hint)
        warnings.warn(f"{found} — {problem.hint}", stacklevel=3)


def _recorded(model: NeuronModel, record: Iterable[str] | None) -> tuple[str, ...]:
    kept = model.state if record is None else (record,) if isinstance(record, str) else tuple(dict.fromkeys(record))
    for variable in kept:
        if variable not in model.state:
            raise ParameterError(f"no state variable {variable!r}", nearest(variable, model.state))
    return kept


def _initial(
    model: NeuronModel, initial: Mapping[str, Any] | None, state: State | None, seed: int, name: str, size: int
) -> dict[str, Any]:
    if initial and state is not None:
        raise ParameterError("both initial and state", "keep one of them; state is where another call ended")
    found = {}
    for variable, values in (initial or {}).items():
        if variable not in model.state:
            raise ParameterError(f"initial: no state variable {variable!r}", nearest(variable, model.state))
        if isinstance(values, Mapping):
            values = _drawn(variable, values, seed, name, size)
        numbers = _numbers(values, f"initial {variable!r}").astype(np.float64)
        if numbers.shape not in ((), (size,)):
            raise ParameterError(
                f"initial {variable!r} of shape {list(numbers.shape)} for {size} neurons",
                "give one value, or one per neuron",
            )
        found[variable] = numbers if numbers.ndim else float(numbers)
    return found


_VALUE: TypeAdapter[Any] = TypeAdapter(Value)


def _drawn(variable: str, values: Mapping[str, Any], seed: int, name: str, size: int) -> Any:
    try:
        found = _VALUE.validate_python(values)
    except ValidationError as error:
        raise first_of(error, f"initial {variable!r}: ") from None
    return settled({variable: found}, seed, name, size, "initial")[variable]


def _outline(
    model: NeuronModel,
    size: int,
    given: Mapping[str, Array],
    recurrent: Mapping[str, Array],
    precision: str,
    learning: Mapping[str, Learning | None],
) -> str:
    inputs = ", ".join(f"{array.shape[1]} {_SORT[array.dtype.kind]} at {name!r}" for name, array in given.items())
    back = f", recurrent at {', '.join(map(repr, recurrent))}" if recurrent else ""
    how = {of: one for of, one in learning.items() if one and (recurrent or not of)}
    rules = "".join(f", {of}learning by {kind_of(one.rule)}" for of, one in how.items())
    return f"{size} {type(model).__name__} in {precision}, {inputs}{back}{rules}"


_SORT = {"b": "spikes", "f": "currents"}


def _resume_at(state: State | None, of: str) -> int:
    """The tick to go on from."""
    if state is None:
        return 0
    if not isinstance(state, Mapping) or "of" not in state:
        raise ParameterError(f"a state that is a {type(state).__name__}", "give the `state` of a result")
    if state["of"] != of:
        raise ParameterError(f"a state of {state['of']} for {of}", "go on with the same model, arrays and rules")
    return int(state["tick"])


__all__ = ["Simulation", "simulate"]

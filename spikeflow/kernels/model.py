"""What a neuron model declares: parameters, state, receptors, constants and one `update`."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikeflow.errors import ParameterError, Problem, nearest
from spikeflow.kernels import vocabulary
from spikeflow.kernels.parameters import Array, Drawn, Matrix, Refractory, Time, Value, settled, times
from spikeflow.kernels.refusals import refused
from spikeflow.units import Seconds, format_seconds, parse_seconds

__all__ = ["Array", "Coupling", "Form", "Matrix", "NeuronModel", "Refractory", "Time", "Value", "form", "pruned"]


class NeuronModel(BaseModel):
    """The base of every neuron model.

    A model adds typed fields, `state`, `receptors`, `constants(dt)` and one `update`. The arguments of `update` are, in
    this order: each state, the sum that arrives at each receptor in this tick, each draw of `noise` (uniform in
    [0, 1)), then by name what it needs of the fields and of `constants`. It returns the new states in the same order,
    then, if the model spikes, where it does. Static options come as keyword-only arguments; `if option == "…":` is
    decided before any backend sees the text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    state: ClassVar[tuple[str, ...]] = ()
    """Names of the state variables; each is a port, and `initial` may set it."""
    receptors: ClassVar[tuple[str, ...]] = ()
    """Names of the receptors; the first is the default."""
    noise: ClassVar[tuple[str, ...]] = ()
    """Names of the uniform draws that `update` takes each tick."""
    spikes: ClassVar[bool] = True
    """False for a model whose default output is its first state variable."""
    held: ClassVar[tuple[str, ...]] = ("v",)
    """What stands still while a neuron is refractory."""
    integrators: ClassVar[tuple[str, ...]] = ("euler",)
    input_orders: ClassVar[tuple[str, ...]] = ("first",)
    resets: ClassVar[tuple[str, ...]] = ("value",)
    refracts: ClassVar[bool] = True
    """Whether `refractory` may be set."""
    tolerance: ClassVar[float | None] = None
    """None where every backend gives the same bits; else how far states may differ, for models with `exp` of state."""
    linear: ClassVar[tuple[str, ...]] = ()
    """The time constants whose leak is linear, for the check of dt / tau."""
    reset_below: ClassVar[tuple[str, str] | None] = ("v_reset", "v_th")
    """The fields of which the first must not be above the second, where the model has them."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of parameters, as plain values of the fields; `preset` chooses one, single fields go over it."""
    graded: ClassVar[str | None] = None
    """The state variable whose value after the tick each spike carries; None where spikes carry none."""

    preset: str | None = Field(None, description="a named set of parameters; what is set beside it goes over it")
    integrator: Literal["euler", "exact"] = Field("euler", description="euler, or exact: the propagator over a tick")
    reset_by: Literal["value", "subtract"] = Field(
        "value", description="a spike sets v to v_reset, or subtracts v_th from it"
    )
    input_order: Literal["first", "last"] = Field(
        "first", description="whether this tick's input arrives before or after the state has moved"
    )
    refractory: Refractory = Field(0.0, description="silence after a spike, in ticks (a number) or as a time")
    allow_unstable: bool = Field(False, description="accept a tick so long that the leak overshoots")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        for name in sorted(set(data) - set(cls.model_fields)):
            if reason := refused(cls, name, data[name]):
                raise reason
        preset = data.get("preset")
        if preset is None:
            return data
        if preset not in cls.presets:
            raise ParameterError(f"no preset {preset!r}", nearest(str(preset), cls.presets) if cls.presets else
                                 "this model has none; leave it out")  # fmt: skip
        return {**cls.presets[preset], **data}

    @model_validator(mode="after")
    def _supported(self) -> NeuronModel:
        for option, valid in self.choices().items():
            chosen = getattr(self, option)
            if option in self.model_fields_set and chosen not in valid:
                raise ParameterError(f"{option}: {chosen} is not known to this model", f"valid: {', '.join(valid)}")
        if not self.refracts and "refractory" in self.model_fields_set:
            raise ParameterError("refractory is not known to this model", "leave it out")
        return self

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """The options that all models share, with what this one knows of each."""
        return {"integrator": cls.integrators, "input_order": cls.input_orders, "reset_by": cls.resets}

    def constants(self, dt: Seconds) -> Mapping[str, float | Array]:
        """What `update` needs beside the fields, computed once, in float64; a backend casts it to the precision."""
        return {}

    @staticmethod
    def update(*args: Any, **options: Any) -> Any:
        """One tick; written in the words of `vocabulary`."""
        raise NotImplementedError

    def initial(self) -> Mapping[str, float | Array]:
        """The state before the first tick, where it is not zero."""
        return {}

    def options(self) -> dict[str, str]:
        """The static options, as `update` takes them."""
        return {"integrator": self.integrator, "reset_by": self.reset_by, "input_order": self.input_order}

    def hears(self, own: bool) -> bool:
        """Whether what arrives from the population itself (`own`), or from elsewhere, acts at all."""
        return True

    def learns(self) -> Any:
        """The learning rule of projections that name none; None where they do not learn."""
        return None

    def couplings(self, dt: Seconds) -> Sequence[Coupling]:
        """Dense terms between the neurons of the population, beside `update`."""
        return ()

    def settled(self, seed: int, node: str, size: int) -> Self:
        """The model with every distribution replaced by a value for each of `size` neurons of the node."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        spread = {name: value for name, value in fields.items() if isinstance(value, Drawn)}
        drawn = settled(spread, seed, node, size)
        return self.model_copy(update=drawn) if drawn else self

    def refractory_ticks(self, dt: Seconds) -> float:
        """The refractory period in ticks; 2.5 counts 2.5, 1.5, 0.5, which are three silent ticks."""
        if not isinstance(self.refractory, str):
            return self.refractory
        ticks = parse_seconds(self.refractory) / dt
        return float(round(ticks)) if abs(ticks - round(ticks)) < 1e-6 else ticks

    def per_neuron(self) -> dict[str, int]:
        """The fields that hold one value per neuron, with how many they hold."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value.size for name, value in fields.items() if isinstance(value, np.ndarray) and value.ndim == 1}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """What is wrong with these parameters at this tick and size, with the field at fault."""
        found = []
        for name, count in self.per_neuron().items():
            if size is not None and count != size:
                found.append(
                    Problem((name,), f"{count} values for {size} neurons", "give one value, or one per neuron")
                )
        found += self._unreachable()
        for name in times(type(self)):
            taus = np.asarray(getattr(self, name))
            if (taus <= 0).any():
                least = f"{format_seconds(float(taus.min()))} for neuron {int(taus.argmin())}"
                found.append(Problem((name,), f"{least} is not above zero", "narrow the distribution"))
        if any(not problem.warning for problem in found):
            return found
        if self.integrator == "exact":
            return found
        exact = "integrator: exact" if "exact" in self.integrators else ""
        for name in self.linear:
            ratio = float(np.max(dt / np.asarray(getattr(self, name))))
            tau = format_seconds(float(np.min(getattr(self, name))))
            if ratio > 2 and not self.allow_unstable:
                found.append(Problem(
                    (name,), f"{tau} is unstable: dt / {name} is {ratio:.3g}, above 2",
                    f"take a shorter dt, {exact}{', ' * bool(exact)}or allow_unstable: true",
                ))  # fmt: skip
            elif ratio > 0.5:
                found.append(Problem(
                    (name,), f"{tau} is coarse: dt / {name} is {ratio:.3g}, above 0.5",
                    f"take a shorter dt{' or ' * bool(exact)}{exact}", warning=True,
                ))  # fmt: skip
        return found

    def _unreachable(self) -> list[Problem]:
        """A reset above the threshold: the neuron would spike at every tick from its first spike on."""
        if self.reset_below is None or self.reset_by == "subtract":
            return []
        low, high = self.reset_below
        if low not in type(self).model_fields or high not in type(self).model_fields:
            return []
        reset, threshold = np.broadcast_arrays(getattr(self, low), getattr(self, high))
        above = np.flatnonzero(reset > threshold)
        if not above.size:
            return []
        first, limit = float(reset.flat[above[0]]), float(threshold.flat[above[0]])
        return [
            Problem((low,), f"{low} {first:g} is above {high} {limit:g}", "put the reset at the threshold or below")
        ]


@dataclass(frozen=True, eq=False)
class Coupling:
    """A dense term beside `update`: a state variable of all neurons acts on all neurons, through a matrix.

    Attributes:
        weights: [post, pre].
        of: the state variable that acts.
        into: the state variable or receptor that the sum is added to.
        after: whether it acts on the state after `update`; else before it.
    """

    weights: Array
    of: str
    into: str
    after: bool = False


@dataclass(frozen=True)
class Form:
    """A model with its options decided: what a backend needs to know, and all that its text depends on.

    Attributes:
        update: `update` without its static options, as a syntax tree.
        states: rows of state; `rho` is the last one where there is a refractory period.
        constants: names in the order of the constants' area; those in `rows` have one value per neuron instead.
        restless: whether the state may change without input, so that no part of it ever rests.
        unused: constants that `update` names but that its options rule out.
        function: what NumPy runs.
    """

    name: str
    update: ast.FunctionDef
    states: tuple[str, ...]
    receptors: tuple[str, ...]
    noise: tuple[str, ...]
    spikes: bool
    held: tuple[str, ...]
    refracts: bool
    constants: tuple[str, ...]
    rows: tuple[str, ...]
    restless: bool
    unused: tuple[str, ...]
    function: Callable[..., Any]

    @property
    def text(self) -> str:
        """The equations as source text, without their options."""
        return ast.unparse(self.update)

    @property
    def moved(self) -> tuple[str, ...]:
        """The states that `update` itself moves: all but `rho`."""
        return self.states[:-1] if self.refracts else self.states


SHARED = {"zero": 0.0, "one": 1.0, "tiny": vocabulary.TINY}
"""Constants of every form, beside the model's own."""


def form(model: NeuronModel, dt: Seconds) -> tuple[Form, dict[str, float | Array]]:
    """A model with its options decided, and its constants in float64."""
    refracts = model.refractory_ticks(dt) > 0
    cls = type(model)
    fields = {name: getattr(model, name) for name in cls.model_fields}
    lead = len(cls.state) + len(cls.receptors) + len(cls.noise)
    found = decided(cls.update, lead, model.options(), dict(model.constants(dt)) | fields | SHARED)
    constants: dict[str, float | Array] = dict(found.constants)
    if refracts:
        constants["rho_reset"] = model.refractory_ticks(dt)
    constants |= SHARED
    made = Form(
        name=cls.__name__,
        update=found.tree,
        states=(*cls.state, "rho") if refracts else cls.state,
        receptors=cls.receptors,
        noise=cls.noise,
        spikes=cls.spikes,
        held=cls.held,
        refracts=refracts,
        constants=tuple(constants),
        rows=tuple(name for name, value in constants.items() if isinstance(value, np.ndarray)),
        restless=bool(cls.noise) or bool(model.couplings(dt)),
        unused=found.unused,
        function=found.function,
    )
    return made, constants


@dataclass(frozen=True)
class Decided:
    """A function of equations with its static options decided.

    Attributes:
        tree: its syntax tree, without the options and without arguments that they rule out, which are `unused`.
        constants: those that it still names, in its order.
        function: what NumPy runs.
    """

    tree: ast.FunctionDef
    constants: dict[str, Any]
    unused: tuple[str, ...]
    function: Callable[..., Any]


def decided(
    update: Callable[..., Any], lead: int, options: Mapping[str, str], known: Mapping[str, Any]
) -> Decided:  # fmt: skip
    """Decide the options of `update`, whose arguments from the one at `lead` on are names of `known`.

    Raises:
        ParameterError: it takes what nobody knows, or branches on what is no option.
    """
    tree = pruned(update, options)
    named = [argument.arg for argument in tree.args.args[lead:]]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if missing := [name for name in named if name not in known]:
        raise ParameterError(
            f"{update.__name__} takes {', '.join(missing)}", "name a field or a key of constants()"
        )  # fmt: skip
    tree.args.args = tree.args.args[:lead] + [a for a in tree.args.args[lead:] if a.arg in used]
    taken = inspect.getfullargspec(update).kwonlyargs
    return Decided(
        tree,
        {name: known[name] for name in named if name in used},
        tuple(name for name in named if name not in used),
        functools.partial(update, **{name: value for name, value in options.items() if name in taken}),
    )


def pruned(update: Callable[..., Any], options: Mapping[str, str]) -> ast.FunctionDef:
    """The syntax tree of `update` with its static options decided, its annotations and docstring gone."""
    source = ast.parse(textwrap.dedent(inspect.getsource(update))).body[0]
    assert isinstance(source, ast.FunctionDef)
    keep = {argument.arg for argument in source.args.kwonlyargs}
    decided = _Decide({name: value for name, value in options.items() if name in keep}).visit(source)
    assert isinstance(decided, ast.FunctionDef)
    decided.decorator_list, decided.returns, decided.args.kwonlyargs, decided.args.kw_defaults = [], None, [], []
    for argument in decided.args.args:
        argument.annotation = None
    if ast.get_docstring(decided) is not None:
        decided.body = decided.body[1:]
    return decided


class _Decide(ast.NodeTransformer):
    """Replaces `if option == "…":` by the branch that holds."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options

    def visit_If(self, node: ast.If) -> Any:
        test = node.test
        if not (
            isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id in self.options
            and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq) and isinstance(test.comparators[0], ast.Constant)
        ):  # fmt: skip
            raise ParameterError(
                f"line {node.lineno} of update branches on {ast.unparse(test)}",
                'branch on a static option only, as `if integrator == "exact":`, and use where() for the rest',
            )
        branch = node.body if self.options[test.left.id] == test.comparators[0].value else node.orelse
        return [kept for statement in branch for kept in _listed(self.visit(statement))]


def _listed(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node]

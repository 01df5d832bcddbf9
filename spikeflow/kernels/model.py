"""What a neuron model declares: parameters, state, receptors, constants and one `update`."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from spikeflow.errors import ParameterError, Problem, instead, shown, why
from spikeflow.kernels import vocabulary
from spikeflow.units import Seconds, format_seconds, parse_seconds

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
    if not np.isfinite(numbers).all():
        raise ParameterError(f"{shown(path)!r} holds values that are not finite", "write finite numbers")
    return numbers


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


def _value(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, np.ndarray):
        return _per_neuron(value.astype(np.float64))
    if isinstance(value, str) and value.endswith(".npy"):
        return _per_neuron(load_array(resolved(value, info), "one value per neuron"))
    value = number(value)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ParameterError(f"{value!r} is not a number", "write a number, or a .npy file with one value per neuron")
    if not np.isfinite(value):
        raise ParameterError(f"{value!r} is not finite", "write a finite number")
    return float(value)


def _time(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and not value.endswith(".npy"):
        value = parse_seconds(value)
    elif isinstance(value, int | float) and (info.context or {}).get("units") == "required":
        raise ParameterError(f"{value} has no unit", f"write '{value} ms'")
    value = _value(value, info)
    if np.any(np.less_equal(value, 0)):
        least = float(np.min(value))
        raise ParameterError(f"{format_seconds(least) if least else 0} is not above zero", "write a time such as 10 ms")
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


def _plain(value: float | Array) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"\.npy$"}]}
_DURATION = {
    "type": "string",
    "examples": ["10 ms"],
    "description": "a time, or a .npy file in seconds, one per neuron",
}
_PERIOD = {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["2 ms", 5]}

Value = Annotated[float | Array, PlainValidator(_value), PlainSerializer(_plain), WithJsonSchema(_NUMBER)]
"""A parameter without a unit: one value, or one per neuron (from a graph file the path of a `.npy` file)."""

Time = Annotated[float | Array, PlainValidator(_time), PlainSerializer(_plain), WithJsonSchema(_DURATION)]
"""A time constant in seconds, above zero: one value, or one per neuron."""

Refractory = Annotated[float | str, PlainValidator(_refractory), WithJsonSchema(_PERIOD)]
"""How long a neuron is silent after a spike: ticks as a number, or a time."""


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

    integrator: Literal["euler", "exact"] = Field("euler", description="euler, or exact: the propagator over a tick")
    reset_by: Literal["value", "subtract"] = Field(
        "value", description="a spike sets v to v_reset, or subtracts v_th from it"
    )
    input_order: Literal["first", "last"] = Field(
        "first", description="whether this tick's input arrives before or after the state has moved"
    )
    refractory: Refractory = Field(0.0, description="silence after a spike, in ticks (a number) or as a time")
    allow_unstable: bool = Field(False, description="accept a tick so long that the leak overshoots")

    @model_validator(mode="after")
    def _supported(self) -> NeuronModel:
        for option, valid in (
            ("integrator", self.integrators), ("input_order", self.input_orders), ("reset_by", self.resets)
        ):  # fmt: skip
            chosen = getattr(self, option)
            if option in self.model_fields_set and chosen not in valid:
                raise ParameterError(f"{option}: {chosen} is not known to this model", f"valid: {', '.join(valid)}")
        if not self.refracts and "refractory" in self.model_fields_set:
            raise ParameterError("refractory is not known to this model", "leave it out")
        return self

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

    def refractory_ticks(self, dt: Seconds) -> float:
        """The refractory period in ticks; 2.5 counts 2.5, 1.5, 0.5, which are three silent ticks."""
        if not isinstance(self.refractory, str):
            return self.refractory
        ticks = parse_seconds(self.refractory) / dt
        return float(round(ticks)) if abs(ticks - round(ticks)) < 1e-6 else ticks

    def per_neuron(self) -> dict[str, int]:
        """The fields that hold one value per neuron, with how many they hold."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value.size for name, value in fields.items() if isinstance(value, np.ndarray)}

    def problems(self, dt: Seconds, size: int | None = None) -> list[Problem]:
        """What is wrong with these parameters at this tick and size, with the field at fault."""
        found = []
        for name, count in self.per_neuron().items():
            if size is not None and count != size:
                found.append(
                    Problem((name,), f"{count} values for {size} neurons", "give one value, or one per neuron")
                )
        if self.integrator == "exact":
            return found
        for name in self.linear:
            ratio = float(np.max(dt / np.asarray(getattr(self, name))))
            tau = format_seconds(float(np.min(getattr(self, name))))
            if ratio > 2 and not self.allow_unstable:
                found.append(Problem(
                    (name,), f"{tau} is unstable: dt / {name} is {ratio:.3g}, above 2",
                    "take a shorter dt, integrator: exact, or allow_unstable: true",
                ))  # fmt: skip
            elif ratio > 0.5:
                found.append(Problem(
                    (name,), f"{tau} is coarse: dt / {name} is {ratio:.3g}, above 0.5",
                    "take a shorter dt or integrator: exact", warning=True,
                ))  # fmt: skip
        return found


@dataclass(frozen=True)
class Form:
    """A model with its options decided: what a backend needs to know, and all that its text depends on.

    Attributes:
        update: `update` without its static options, as a syntax tree.
        states: rows of state; `rho` is the last one where there is a refractory period.
        constants: names in the order of the constants' area; those in `rows` have one value per neuron instead.
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
    values: dict[str, float | Array] = dict(model.constants(dt))
    cls = type(model)
    tree = pruned(cls.update, model.options())
    lead = len(cls.state) + len(cls.receptors) + len(cls.noise)
    named = [argument.arg for argument in tree.args.args[lead:]]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    known = values | {name: getattr(model, name) for name in cls.model_fields if name in named} | SHARED
    if missing := [name for name in named if name not in known]:
        raise ParameterError(f"update takes {', '.join(missing)}", "name a field or a key of constants()")
    tree.args.args = tree.args.args[:lead] + [a for a in tree.args.args[lead:] if a.arg in used]
    constants = {name: known[name] for name in named if name in used}
    if refracts:
        constants["rho_reset"] = model.refractory_ticks(dt)
    constants |= SHARED
    decided = Form(
        name=cls.__name__,
        update=tree,
        states=(*cls.state, "rho") if refracts else cls.state,
        receptors=cls.receptors,
        noise=cls.noise,
        spikes=cls.spikes,
        held=cls.held,
        refracts=refracts,
        constants=tuple(constants),
        rows=tuple(name for name, value in constants.items() if isinstance(value, np.ndarray)),
        unused=tuple(name for name in named if name not in used),
        function=functools.partial(cls.update, **_accepted(cls.update, model.options())),
    )
    return decided, constants


def _accepted(update: Callable[..., Any], options: Mapping[str, str]) -> dict[str, str]:
    taken = inspect.getfullargspec(update).kwonlyargs
    return {name: value for name, value in options.items() if name in taken}


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

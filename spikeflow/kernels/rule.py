"""What a learning rule declares: how synapses change at the end of a tick, each rule one file of equations."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from spikeflow.errors import ParameterError, Problem
from spikeflow.kernels.model import SHARED, Array, decided
from spikeflow.kernels.parameters import times
from spikeflow.kernels.refusals import inverse
from spikeflow.units import Seconds, format_seconds

__all__ = ["Bounded", "Learning", "LearningRule", "RuleForm", "rule_form"]


class LearningRule(BaseModel):
    """The base of every learning rule.

    In a tick the old weights act, the neurons move, and then the synapses change. A rule is three functions in the
    words of `vocabulary`, each the only copy of its equations:

    - `trace_pre(*pre, z, …)` moves what is kept for each presynaptic neuron; `z` is what arrives from it in this tick.
    - `trace_post(*post, z, *heard, …)` does so for each postsynaptic one; `z` is its own spike, and for each of
      `receptors` comes the sum that arrives there.
    - `update(*state, *pre, *post, …)` changes one synapse; the first of `state` is its weight.

    Each takes further, by name, what it needs of the fields and of `constants(dt)`, and static options keyword-only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pre: ClassVar[tuple[str, ...]]
    """What is kept for each presynaptic neuron; the last one is what arrived from it in this tick."""
    post: ClassVar[tuple[str, ...]]
    """What is kept for each postsynaptic neuron; the last one is its spike in this tick."""
    state: ClassVar[tuple[str, ...]] = ("w",)
    """What is kept for each synapse; the first one is the weight."""
    receptors: ClassVar[tuple[str, ...]] = ()
    """What else the rule hears, beside spikes: receptors that the population has because of it."""
    event_driven: ClassVar[bool] = False
    """Whether nothing of a synapse moves in a tick in which neither of its neurons has fired. A rule that says so and
    moves it nevertheless gives other results on every backend."""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, data: Any, info: ValidationInfo) -> Any:
        if info.context is not None:
            return data  # a graph file, which reports all that is wrong at once, and asks `refused`
        for name in sorted(set(data) - set(cls.model_fields)) if isinstance(data, Mapping) else ():
            if reason := inverse(cls, name, data[name]):
                raise reason
        return data

    @classmethod
    def refused(cls, key: str, value: Any) -> ParameterError | None:
        """Why a key that is no field is refused, where more can be said than which key is the nearest."""
        return inverse(cls, key, value)

    def constants(self, dt: Seconds) -> Mapping[str, float]:
        """What the functions need beside the fields, computed once, in float64; a backend casts it to the precision."""
        return {}

    @staticmethod
    def trace_pre(*args: Any, **options: Any) -> Any:
        """One tick of a presynaptic neuron."""
        raise NotImplementedError

    @staticmethod
    def trace_post(*args: Any, **options: Any) -> Any:
        """One tick of a postsynaptic neuron."""
        raise NotImplementedError

    @staticmethod
    def update(*args: Any, **options: Any) -> Any:
        """One tick of a synapse."""
        raise NotImplementedError

    def begin(self, weights: Array) -> Array:
        """The weights before the first tick, from those that were given."""
        return weights

    @property
    def tolerance(self) -> float | None:
        """None where every backend gives the same bits; else how far weights may differ."""
        return None

    def options(self) -> dict[str, str]:
        """The static options, as the functions take them: every field that is a choice of names."""
        chosen = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in chosen.items() if isinstance(value, str)}

    def problems(self, dt: Seconds) -> list[Problem]:
        """What is wrong with these parameters at this tick, with the field at fault."""
        if getattr(self, "integrator", "euler") == "exact":
            return []
        found = []
        for name in times(type(self)):
            tau = float(getattr(self, name))
            if dt / tau > 2:
                text = f"{format_seconds(tau)} is unstable: dt / {name} is {dt / tau:.3g}, above 2"
                found.append(Problem((name,), text, "take a shorter dt, or a longer time constant"))
            elif dt / tau > 0.5:
                text = f"{format_seconds(tau)} is coarse: dt / {name} is {dt / tau:.3g}, above 0.5"
                found.append(Problem((name,), text, "take a shorter dt, or a longer time constant", warning=True))
        return found

    @classmethod
    def ports(cls) -> tuple[str, ...]:
        """What can be recorded: the synapses' state, then the neurons'."""
        return (*cls.state, *cls.pre[:-1], *cls.post[:-1])


class Bounded(LearningRule):
    """A rule whose weights stay between `w_min` and `w_max`, from the first tick on; `bounds` says so to `update`."""

    w_min: float = Field(0.0, description="no weight falls below it")
    w_max: float = Field(1.0, description="no weight grows above it")
    hardbound: bool = Field(True, description="whether weights stop at the bounds, or only slow down before them")

    def options(self) -> dict[str, str]:
        return super().options() | {"bounds": "hard" if self.hardbound else "soft"}

    def begin(self, weights: Array) -> Array:
        return np.clip(weights, self.w_min, self.w_max) if self.hardbound else weights

    def problems(self, dt: Seconds) -> list[Problem]:
        found = super().problems(dt)
        if self.w_min > self.w_max:
            text = f"w_min {self.w_min:g} is above w_max {self.w_max:g}"
            found.append(Problem(("w_min",), text, "swap them"))
        return found


@dataclass(frozen=True)
class Learning:
    """That a projection learns.

    Attributes:
        rule: how.
        until: the first tick that changes no synapse any more; None: all do.
        name: what its ports end with.
        record: what is kept of each synapse or neuron (`ports`) to the channels (None: all) and the ticks between two
            samples, taken after ticks that are multiples; it comes with the records of the target, named
            `<what>_<name>`. Where one neuron has several delays, its trace is that of the shortest one.
    """

    rule: LearningRule
    until: int | None = None
    name: str = ""
    record: Mapping[str, tuple[npt.NDArray[np.integer[Any]] | None, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleForm:
    """A rule's `update` with its options decided; the counterpart of `Form`."""

    name: str
    update: ast.FunctionDef
    states: tuple[str, ...]
    pre: tuple[str, ...]
    post: tuple[str, ...]
    constants: tuple[str, ...]
    unused: tuple[str, ...]
    event_driven: bool
    function: Callable[..., Any]

    @property
    def named(self) -> list[str]:
        """The constants that `update` takes, in its order."""
        lead = len(self.states) + len(self.pre) + len(self.post)
        return [argument.arg for argument in self.update.args.args[lead:]]


def rule_form(rule: LearningRule, dt: Seconds) -> tuple[RuleForm, dict[str, float]]:
    """A rule with its options decided, and its constants in float64."""
    cls = type(rule)
    lead = len(cls.state) + len(cls.pre) + len(cls.post)
    found = decided(cls.update, lead, rule.options(), values_of(rule, dt) | SHARED)
    constants = found.constants | SHARED
    made = RuleForm(
        name=cls.__name__, update=found.tree, states=cls.state, pre=cls.pre, post=cls.post,
        constants=tuple(constants), unused=found.unused, event_driven=cls.event_driven, function=found.function,
    )  # fmt: skip
    return made, {name: float(np.asarray(value)) for name, value in constants.items()}


def values_of(rule: LearningRule, dt: Seconds) -> dict[str, Any]:
    """The constants that a rule's functions may name: those of this `dt`, and its fields."""
    fields = {name: getattr(rule, name) for name in type(rule).model_fields}
    return dict(rule.constants(dt)) | {name: value for name, value in fields.items() if isinstance(value, int | float)}

"""What there is to say about a neuron model or a learning rule beside its parameters, from the class alone."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from spikeflow.kernels.model import NeuronModel
from spikeflow.kernels.parameters import times
from spikeflow.kernels.rule import LearningRule
from spikeflow.units import format_seconds


def about(model: type[NeuronModel]) -> dict[str, Any]:
    """Receptors, ports, options, presets, tolerance, source and the equations of a model.

    Returns:
        `receptors` and `ports`: names, the first receptor being the default. `synapse_ports`: how those begin that
        each projection has where the model has a learning rule in every synapse. `output`: what the default outlet
        gives.
        `options`: what `update` branches on, with what each may be. `presets`: name to parameters. `tolerance`: how far
        states may differ between backends, None where they have the same bits. `source`: where the equations come from.
        `constants` and `equations`: the text of `constants(dt)` and of `update`.
    """
    graded = f"spikes that carry {model.graded}" if model.graded else "spikes"
    return {
        "receptors": list(model.receptors),
        "ports": list(model.state),
        "synapse_ports": list(rule.ports()) if (rule := model.model_construct().learns()) is not None else [],
        "output": graded if model.spikes else model.state[0],
        "noise": list(model.noise),
        "options": _options(model),
        "presets": {name: _values(model, values) for name, values in model.presets.items()},
        "tolerance": model.tolerance,
        "source": _source(model),
        "constants": _text(model.constants) if model.constants is not NeuronModel.constants else "",
        "equations": _text(model.update),
    }


def about_rule(rule: type[LearningRule]) -> dict[str, Any]:
    """Ports, receptors, options, tolerance, source and the equations of a learning rule.

    Returns:
        `pre`, `post` and `synapse`: what is kept of each neuron and synapse. `ports`: all of these, as ports begin.
        `receptors`: those that the rule adds. `event_driven`: as the class says. `options`: the fields that are a
        choice of names. `tolerance`: how far weights may differ between backends, by the option that lets them; None
        where they never do. `source`, `constants`: as of a model. `equations`: `trace_pre`, `trace_post` and `update`.
    """
    choices = {
        name: [str(one) for one in get_args(field.annotation)]
        for name, field in rule.model_fields.items()
        if get_origin(field.annotation) is Literal
    }
    return {
        "pre": list(rule.pre[:-1]),
        "post": list(rule.post[:-1]),
        "synapse": list(rule.state),
        "ports": list(rule.ports()),
        "receptors": list(rule.receptors),
        "event_driven": rule.event_driven,
        "options": choices,
        "tolerance": _tolerance(rule, choices),
        "source": _source(rule),
        "constants": _text(rule.constants) if rule.constants is not LearningRule.constants else "",
        "equations": "\n\n".join(_text(function) for function in (rule.trace_pre, rule.trace_post, rule.update)),
    }


def _tolerance(rule: type[LearningRule], choices: Mapping[str, list[str]]) -> dict[str, float] | None:
    """The tolerance with each option for itself; of all of them under no name."""
    if (always := rule.model_construct().tolerance) is not None:
        return {"": always}
    said = {
        f"{k}: {one}": rule.model_construct(None, **{k: one}).tolerance for k, known in choices.items() for one in known
    }
    return {option: found for option, found in said.items() if found is not None} or None


def _options(model: type[NeuronModel]) -> dict[str, list[str]]:
    """The static options, where there is a choice."""
    known = model.choices()
    found = {}
    for name in inspect.getfullargspec(model.update).kwonlyargs:
        field = model.model_fields.get(name)
        valid = known.get(name) or (get_args(field.annotation) if field is not None else ())
        if len(valid) > 1:
            found[name] = [str(one) for one in valid]
    return found


def _values(model: type[NeuronModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """A preset as a graph file would say it: times carry their unit."""
    spans = {
        key: format_seconds(value) for key, value in values.items() if key in times(model) and isinstance(value, float)
    }
    return {**values, **spans}


def _source(model: type[BaseModel]) -> str:
    """What the docstring says after `Source:`."""
    return " ".join((inspect.getdoc(model) or "").partition("Source: ")[2].split())


def _text(function: Callable[..., Any]) -> str:
    """A method as it is written, without decorators and marks for tools."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("def "))
    return "\n".join(line.partition("  # fmt:")[0].partition("  # noqa")[0] for line in lines[first:])

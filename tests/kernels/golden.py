"""The cases of `tests/data` in our words: which kind computes them, from which parameters, and what must come of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from spikeflow.catalog import node_class
from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Train
from spikeflow.kernels.model import form
from spikeflow.kernels.synapses import dense, one_to_one
from spikeflow.nodes.population import Population

DATA = Path(__file__).parent.parent / "data"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reference:
    """How the cases of a file, or those whose names begin alike, are said in our words.

    A parameter `p_tau_x_inv` is the field `tau_x`, and `p_x` the field `x`, unless `named` says otherwise; one that
    has no field is an error unless it is `unused`.

    Attributes:
        file: the `.npz` in `tests/data`, without its ending.
        kind: the kind of neuron that computes it.
        begins: what the names of its cases begin with; the first row that fits a case is the case's.
        named: the field of a parameter that has another name there.
        unused: parameters that the stored call was given and does not read.
        given: fields that the file says nothing of.
        signs: the receptors, where the sign of what goes in chooses among them, each with its sign.
        skipped: states that are stored and are not compared.
        within: how far states may be off in each precision: absolute, and relative.
    """

    file: str
    kind: str
    begins: str = ""
    named: Mapping[str, str] = field(default_factory=lambda: {"rho_reset": "refractory"})
    unused: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    signs: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    within: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"float64": (1e-12, 0.0), "float32": (2e-5, 0.0)}
    )


MILLIVOLTS = {"float64": (0.0, 1e-12), "float32": (1e-2, 0.0)}
"""Tolerances of models that count in mV."""
GROWING = {"float64": (1e-12, 1e-12)}
"""Tolerances of states that grow without bound."""
BY_SIGN = {"exc": 1.0, "inh": -1.0}

REFERENCES = (
    Reference("lif", "lif"),
    Reference("lif_input_last", "lif", given={"input_order": "last"}),
    Reference("lif_current_encoder", "lif_current", unused=("tau_syn_inv",)),
    Reference("lif_box", "lif_box"),
    Reference("lif_refrac", "lif_refrac"),
    Reference("lif_ex", "lif_ex_current", "encoder_", unused=("tau_syn_inv",)),
    Reference("lif_ex", "lif_ex"),
    Reference(
        "lif_adex",
        "lif_adex_current",
        "encoder_",
        unused=("tau_syn_inv",),
        given={"compatibility": "norse"},
        within=GROWING,
    ),
    Reference("lif_adex", "lif_adex"),
    Reference("lif_adex_refrac", "lif_adex_refrac"),
    Reference("lsnn", "ada_lif", begins="ada_lif_"),
    Reference("lsnn", "lsnn"),
    Reference("iaf", "iaf"),
    Reference("lif_mc", "lif_mc", begins="ff_", given={"coupled": "before"}),
    Reference("lif_mc", "lif_mc"),
    Reference("lif_mc_refrac", "lif_mc_refrac", named={}),
    Reference("leaky_integrator", "li"),
    Reference("leaky_integrator_box", "li_box"),
    Reference("izhikevich", "izhikevich", within=MILLIVOLTS),
    Reference("coba_lif", "coba_lif", "rec_", given={"compatibility": "norse"}, signs=BY_SIGN, within=MILLIVOLTS),
    Reference("coba_lif", "coba_lif", signs=BY_SIGN, within=MILLIVOLTS),
)

GRADIENTS = ("alpha",)
"""Parameters that only training knows."""

RESETS = {"reset_value": "value", "reset_subtract": "subtract"}


@cache
def _meta(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(str(np.load(DATA / f"{file}.npz")["meta"]))["cases"]
    return found


@cache
def _arrays(file: str) -> dict[str, Array]:
    with np.load(DATA / f"{file}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def cases() -> list[tuple[str, str]]:
    """Every (file, case) of the files that hold neurons."""
    return [(file, name) for file in dict.fromkeys(one.file for one in REFERENCES) for name in _meta(file)]


def reference(file: str, name: str) -> Reference:
    """The row of a case."""
    return next(one for one in REFERENCES if one.file == file and name.startswith(one.begins))


@dataclass(frozen=True)
class Expected:
    """What a case must give; where only the last tick is stored, that.

    Attributes:
        ticks: how many there are.
        spikes: [ticks or 1, neurons] 0 or 1; None where the model has none.
        states: the state variables, as far as they are stored, [ticks or 1, neurons].
        precision: the type of the states.
        within: how far states may be off: absolute, and relative.
    """

    ticks: int
    spikes: Array | None
    states: Mapping[str, Array]
    precision: str
    within: tuple[float, float]

    def differences(self, spikes: Iterable[tuple[int, int]], states: Mapping[str, Array]) -> list[str]:
        """What a run gave that is not this: (tick, neuron) of its spikes, and [ticks, neurons] of its states."""
        found = []
        if self.spikes is not None:
            first = self.ticks - len(self.spikes)
            given = [spike for spike in spikes if spike[0] >= first]
            wanted = [(first + int(t), int(n)) for t, n in zip(*np.nonzero(self.spikes), strict=True)]
            if given != wanted:
                more, less = sorted(set(given) - set(wanted)), sorted(set(wanted) - set(given))
                found.append(f"{len(more)} spikes too many {more[:3]}, {len(less)} too few {less[:3]} (tick, neuron)")
        absolute, relative = self.within
        for name, expected in self.states.items():
            value = states[name][-len(expected) :]
            if value.dtype != self.precision:
                found.append(f"{name} is {value.dtype}")
            off = np.abs(value.astype(np.float64) - expected)
            if not (off <= absolute + relative * np.abs(expected)).all():
                found.append(f"{name} is off by {off.max():.3g}")
        return found


class Case:
    """One case of a file."""

    def __init__(self, file: str, name: str) -> None:
        self.file, self.name = file, name
        self.reference = reference(file, name)
        self.meta = _meta(file)[name]
        self.precision: Any = "float32" if name.endswith("_f32") else "float64"
        assert self.meta.get("state_every_n_ticks", 1) == 1
        for start in ("init_z", "init_rho"):
            assert not np.any(self.get(start)), f"{file} {name} starts with spikes or refractory neurons"

    def __getitem__(self, name: str) -> Array:
        found = self.get(name)
        assert found is not None
        return found

    def get(self, name: str) -> Array | None:
        """An array of the case; what one in float32 lacks is that of the same one in float64."""
        double = self.name.removesuffix("_f32")
        for case in (self.name, f"{double}_f64", double):
            if (found := _arrays(self.file).get(f"{case}/{name}")) is not None:
                return found
        return None

    @property
    def model_class(self) -> type[NeuronModel]:
        return cast(type[Population], node_class("neuron", self.reference.kind)).model_class

    @property
    def size(self) -> int:
        given = self.get("w_in")
        return int(self["input"].shape[1] if given is None else given.shape[0])

    def fields(self) -> dict[str, Any]:
        """The parameters and options of the model, in SI units; those that the case leaves alone are not there."""
        known, found = self.model_class.model_fields, dict(self.reference.given)
        start = f"{self.name}/p_"
        for key, value in _arrays(self.file).items():
            if not key.startswith(start) or (name := key.removeprefix(start)) in (*GRADIENTS, *self.reference.unused):
                continue
            ours = self.reference.named.get(name, name)
            inverse = ours not in known
            ours = ours.removesuffix("_inv") if inverse else ours
            assert ours in known, f"{self.file} {self.name}: {self.reference.kind} has no field for {name}"
            value = 1 / value if inverse else value
            found[ours] = value if value.ndim else float(value)
        if "g_coupling" in known:
            found["g_coupling"] = self["g_coupling"].astype(np.float64)
        if (method := self.meta.get("params", {}).get("reset_method")) is not None:
            found["reset_by"] = RESETS[method]
        return found

    def model(self) -> NeuronModel:
        return self.model_class(**self.fields())

    def initial(self) -> dict[str, Array]:
        """The state before the first tick, where the case says it."""
        found = {name: self.get(f"init_{name}") for name in self.model_class.state}
        return {name: value.astype(np.float64) for name, value in found.items() if value is not None}

    def expected(self, states: Iterable[str]) -> Expected:
        """What must come of it, with those of `states` that are stored."""
        spikes, returned, kept = self.get("z"), self.get("z_returned"), {}
        if spikes is None and returned is not None:
            spikes = returned[None]
        for name in states:
            stored = "out" if not self.model_class.spikes and name == self.model_class.state[0] else name
            whole, final = self.get(stored), self.get(f"final_{name}")
            if name in self.reference.skipped or (whole is None and final is None):
                continue
            kept[name] = whole if whole is not None else cast(Array, final)[None]
        assert (spikes is not None) == self.model_class.spikes
        return Expected(len(self["input"]), spikes, kept, self.precision, self.reference.within[self.precision])

    def weights(self, name: str) -> list[tuple[str | None, Array | float]]:
        """What `w_in` or `w_rec` is to each receptor: a matrix, or the weight of a current; None is the first one."""
        stored = self.get(name)
        if stored is None and name == "w_rec":
            return []
        if not self.reference.signs:
            return [(None, 1.0 if stored is None else stored)]
        return [
            (receptor, sign if stored is None else np.maximum(sign * stored, 0.0))
            for receptor, sign in self.reference.signs.items()
        ]

    def network(self, backend: str) -> Network:
        """The population, everything recorded, with its weights; the input is the train `x`."""
        model, size = self.model(), self.size
        record = {name: (np.arange(size), 1) for name in form(model, self.meta["dt"])[0].states}
        projections = [
            Projection(source, "n", one_to_one(np.full(size, weight)) if isinstance(weight, float)
                       else dense(np.ascontiguousarray(weight.T), int(source == "n")), receptor)
            for source, name in (("x", "w_in"), ("n", "w_rec")) for receptor, weight in self.weights(name)
        ]  # fmt: skip
        return Network(
            [Group("n", model, size, self.precision, self.initial(), record)],
            [Train("x", self["input"].shape[1], valued=self.get("w_in") is None)],
            projections,
            dt=self.meta["dt"],
            backend=backend,
        )

    def events(self) -> Events:
        x = self["input"]
        tick, channel = np.nonzero(x)
        return Events(tick, channel.astype(np.uint32), x[tick, channel] if self.get("w_in") is None else None)

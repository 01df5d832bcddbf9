"""The cases of `tests/data`, run by our kernels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeflow.kernels import Events, Group, Network, NeuronModel, Projection, Train
from spikeflow.kernels.models.li import Li
from spikeflow.kernels.models.lif import Lif
from spikeflow.kernels.models.lif_current import LifCurrent
from spikeflow.kernels.synapses import dense, one_to_one

DATA = Path(__file__).parent.parent / "data"
MODELS: dict[str, type[NeuronModel]] = {
    "lif": Lif, "lif_input_last": Lif, "lif_refrac": Lif, "leaky_integrator": Li, "lif_current_encoder": LifCurrent,
}  # fmt: skip


@dataclass
class Case:
    """One case of a file, and what to compare with."""

    file: str
    name: str

    def __post_init__(self) -> None:
        self.data = np.load(DATA / f"{self.file}.npz")
        self.meta = json.loads(str(self.data["meta"]))["cases"][self.name]
        self.precision: Any = "float32" if self.name.endswith("f32") else "float64"

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        found = self.get(name)
        assert found is not None
        return found

    def get(self, name: str) -> npt.NDArray[Any] | None:
        for case in (self.name, self.name.replace("_f32", "_f64")):
            if f"{case}/{name}" in self.data.files:
                return np.asarray(self.data[f"{case}/{name}"])
        return None

    def model(self) -> NeuronModel:
        cls = MODELS[self.file]
        fields: dict[str, Any] = {}
        for name in cls.model_fields:
            inverse, plain = self.get(f"p_{name}_inv"), self.get(f"p_{name}")
            value = 1 / inverse if inverse is not None else plain
            if value is not None:
                fields[name] = value if value.ndim else float(value)
        if self.file == "lif_input_last":
            fields["input_order"] = "last"
        if self.file == "lif_refrac":
            fields["refractory"] = float(self["p_rho_reset"])
        return cls(**fields)

    def network(self, backend: str) -> Network:
        given, recurrent = self.get("w_in"), self.get("w_rec")
        size, inputs = self["v" if self.get("v") is not None else "out"].shape[1], self["input"].shape[1]
        model = self.model()
        initial = {name: self[f"init_{name}"].astype(np.float64) for name in model.state}
        record = {name: (np.arange(size), 1) for name in model.state}
        synapses = one_to_one(np.ones(size)) if given is None else dense(np.ascontiguousarray(given.T))
        projections = [Projection("x", "n", synapses)]
        if recurrent is not None:
            projections.append(Projection("n", "n", dense(np.ascontiguousarray(recurrent.T), 1)))
        return Network(
            [Group("n", model, size, self.precision, initial, record)],
            [Train("x", inputs, valued=given is None)],
            projections,
            dt=self.meta["dt"],
            backend=backend,
        )

    def events(self) -> Events:
        x = self["input"]
        tick, channel = np.nonzero(x)
        return Events(tick, channel.astype(np.uint32), x[tick, channel] if self.get("w_in") is None else None)


def cases() -> list[tuple[str, str]]:
    """Every (file, case) that holds spikes or outputs of a stepped call."""
    found = []
    for file in MODELS:
        data = np.load(DATA / f"{file}.npz")
        names = json.loads(str(data["meta"]))["cases"]
        found += [(file, name) for name in names if f"{name}/p_tau_mem_inv" in data.files]
    return found

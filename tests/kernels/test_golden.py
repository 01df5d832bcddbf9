"""Spikes and states of the released package, on every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeflow.kernels import Events, backends
from tests.kernels import golden
from tests.kernels.golden import DATA, REFERENCES, Case, cases, reference


def differences(case: Case, backend: str, events: Events) -> list[str]:
    """What a backend makes of `events` that is not what the case holds."""
    net = case.network(backend)
    expected = case.expected(net.groups[0].record)
    result = net.step(0, expected.ticks, {"x": events})["n"]
    states = {}
    for name, (t, neuron, value) in result.recorded.items():
        assert (np.diff(t * case.size + neuron) == 1).all()
        states[name] = value.reshape(expected.ticks, case.size)
    return expected.differences(zip(result.t.tolist(), result.neuron.tolist(), strict=True), states)


@pytest.mark.parametrize("backend", [name for name in backends() if name in ("numpy", "numba")])
@pytest.mark.parametrize(("file", "name"), cases())
def test_spikes_are_exact_and_states_within_their_tolerance(file: str, name: str, backend: str) -> None:
    case = Case(file, name)
    assert differences(case, backend, case.events()) == []


@pytest.mark.parametrize(("file", "name"), cases())
def test_every_case_holds_something_to_compare(file: str, name: str) -> None:
    case = Case(file, name)
    expected = case.expected(case.network("numpy").groups[0].record)
    assert expected.spikes is None or expected.spikes.any()
    assert expected.states or (expected.spikes is not None and len(expected.spikes) > 1)
    assert all(np.ptp(values) > 0 for values in expected.states.values())


def test_one_spike_too_few_in_the_input_is_noticed() -> None:
    case = Case("lif", "rec_default_f64")
    events = case.events()
    short = type(events)(events.t[1:], events.neuron[1:], None)
    assert "too few" in differences(case, "numpy", short)[0]


def test_every_case_of_every_file_is_one_of_a_neuron() -> None:
    assert len(cases()) > 70
    for file, name in cases():
        assert reference(file, name).kind


def test_every_file_is_in_the_readme_and_has_a_row_or_a_test_of_its_own() -> None:
    said, of_neurons = (DATA / "README.md").read_text(), {one.file for one in REFERENCES}
    tests = [path for path in DATA.parent.rglob("*.py") if path.parent != DATA and path != Path(golden.__file__)]
    texts = [path.read_text() for path in tests]
    files = {path.stem for path in DATA.glob("*.npz")}
    assert of_neurons <= files
    assert [file for file in files if f"`{file}.npz`" not in said] == []
    own = {file for file in files for text in texts if f"{file}.npz" in text or f'"{file}"' in text}
    assert files - of_neurons - own == set()


def test_every_row_of_the_table_has_cases() -> None:
    used = {id(reference(file, name)) for file, name in cases()}
    assert [one for one in REFERENCES if id(one) not in used] == []

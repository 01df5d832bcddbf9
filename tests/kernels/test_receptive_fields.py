"""Receptive fields, against the released package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter, ValidationError

from spikeflow.errors import ParameterError
from spikeflow.kernels import Connect, Events, Group, Network, Projection, Train, Weights, backends, build
from spikeflow.kernels.models.li_box import LiBox
from spikeflow.kernels.receptive_fields import (
    covariance_matrix,
    gaussian_kernel,
    spatial_parameters,
    spatial_receptive_field,
    temporal_scale_distribution,
    temporal_time_constants,
)
from tests.kernels.test_convolution import sums

CONNECT: TypeAdapter[Any] = TypeAdapter(Connect)
WEIGHTS: TypeAdapter[Any] = TypeAdapter(Weights)
DATA = np.load(Path(__file__).parent.parent / "data" / "receptive_field.npz")
CASES: dict[str, Any] = json.loads(str(DATA["meta"]))["cases"]
SCALES: dict[str, dict[str, Any]] = {
    "scales_default4": {"count": 4},
    "scales_c1.2_6": {"count": 6, "c": 1.2},
    "scales_range_5": {"count": 5, "min_scale": 1.0, "max_scale": 20.0},
    "scales_single": {"count": 1, "min_scale": 4.0, "max_scale": 9.0},
}
TEMPORAL: dict[str, dict[str, Any]] = {
    "temporal_default": {"count": 4},
    "temporal_range": {"count": 4, "min_scale": 2.0, "max_scale": 40.0},
    "temporal_dt0.5ms": {"count": 3},
    "temporal_constants": {},
}
SPATIAL = [name for name in CASES if name.startswith("spatial_") and name != "spatial_parameters"]
FIELDS = {"scales": [1, 2], "angles": [0, 0.8], "ratios": [0.5, 1], "derivatives": 1, "size": 9}


def test_every_case_of_the_file_is_here() -> None:
    others = {"covariance", "spatial_parameters", "module", "sampled_module"}
    assert set(CASES) == others | set(SPATIAL) | set(SCALES) | set(TEMPORAL)


def test_covariances_and_parameters_are_those_of_the_released_package() -> None:
    found = [covariance_matrix(*(DATA[f"covariance/{k}"][n] for k in ("sigma1", "sigma2", "phi"))) for n in range(3)]
    np.testing.assert_allclose(found, DATA["covariance/out"], rtol=0, atol=1e-6)
    rows = spatial_parameters([1.0, 2.0], [0.0, 0.8], [0.5, 1.0], 1)
    np.testing.assert_allclose(rows, DATA["spatial_parameters/out"], rtol=0, atol=1e-6)
    assert spatial_parameters([1.0], [0.0], [1.0], 0).tolist() == [[1, 0, 1, 0, 0]]
    assert spatial_parameters([1.0], [0.0], [2.0], [(0, 1), (2, 0)]).tolist() == [[1, 0, 2, 0, 1], [1, 0, 2, 2, 0]]


@pytest.mark.parametrize("name", SPATIAL)
def test_spatial_kernels_are_those_of_the_released_package(name: str) -> None:
    size, domain = CASES[name]["size"], CASES[name]["domain"]
    for row, kernel in zip(DATA[f"{name}/parameters"], DATA[f"{name}/kernels"], strict=True):
        scale, angle, ratio, dx, dy = row
        found = spatial_receptive_field(scale, angle, ratio, size, int(dx), int(dy), domain)
        np.testing.assert_allclose(found, kernel, rtol=0, atol=1e-6)


def test_a_gaussian_is_a_density_with_x_along_columns() -> None:
    kernel = gaussian_kernel(81, [[4.0, 0.0], [0.0, 0.25]], 10.0)
    assert abs(kernel.sum() * 0.25**2 - 1) < 1e-6
    assert kernel[40, 60] > kernel[60, 40]


@pytest.mark.parametrize("name", SCALES)
def test_scales_are_those_of_the_released_package(name: str) -> None:
    np.testing.assert_allclose(temporal_scale_distribution(**SCALES[name]), DATA[f"{name}/out"], rtol=1e-6)


def test_a_convolution_with_given_fields_is_the_spatial_module() -> None:
    kernel = [
        spatial_receptive_field(s, a, r, 9, int(dx), int(dy), 8.0) for s, a, r, dx, dy in DATA["module/parameters"]
    ]
    weights = np.repeat(np.array(kernel)[:, None], 2, axis=1)
    np.testing.assert_allclose(weights, DATA["module/weights"], rtol=0, atol=1e-6)
    assert_convolved("module", {"padding": 4}, weights)


def test_fields_by_name_are_the_kernels_of_the_sampled_module() -> None:
    assert_convolved("sampled_module", {}, WEIGHTS.validate_python({"spatial_fields": FIELDS}))


def assert_convolved(name: str, options: dict[str, Any], weights: Any) -> None:
    out = DATA[f"{name}/out"]
    connect = CONNECT.validate_python({"conv2d": options})
    synapses = build(512, out[0].size, dt=1e-3, connect=connect, weights=weights, from_shape=(2, 16, 16))
    for x, expected in zip(DATA[f"{name}/input"], out, strict=False):
        np.testing.assert_allclose(sums(synapses, x.ravel()), expected.ravel(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", [name for name in backends() if name in ("numpy", "numba")])
@pytest.mark.parametrize("name", TEMPORAL)
def test_leaky_integrators_over_scales_are_the_temporal_module(name: str, backend: str) -> None:
    x, out, dt = DATA[f"{name}/input"], DATA[f"{name}/out"], CASES[name]["dt"]
    if TEMPORAL[name]:
        tau = temporal_time_constants(temporal_scale_distribution(**TEMPORAL[name]), dt, channels=10)
    else:
        tau = np.repeat(1.0 / DATA[f"{name}/tau_mem_inv"].ravel(), 10)
    inverse = np.broadcast_to(DATA[f"{name}/tau_mem_inv"], (len(out[0]), 2, 5)).ravel()
    np.testing.assert_allclose(1 / tau, inverse, rtol=1e-6)
    found = potentials(x.reshape(len(x), -1), tau, dt, backend)
    np.testing.assert_allclose(found, out.reshape(len(x), -1), rtol=0, atol=1e-6)


def potentials(x: npt.NDArray[Any], tau: npt.NDArray[Any], dt: float, backend: str) -> npt.NDArray[Any]:
    """[ticks, neurons] every scale driven by a copy of the input."""
    ticks, channels = x.shape
    copies = build(channels, tau.size, dt=dt, weights=np.tile(np.eye(channels), (tau.size // channels, 1)))
    group = Group("n", LiBox(tau_mem=tau), tau.size, "float32", {}, {"v": (np.arange(tau.size), 1)})
    network = Network([group], [Train("x", channels)], [Projection("x", "n", copies)], dt=dt, backend=backend)
    tick, channel = np.nonzero(x)
    result = network.step(0, ticks, {"x": Events(tick, channel.astype(np.uint32), None)})["n"]
    return np.asarray(result.recorded["v"][2]).reshape(ticks, tau.size)


@pytest.mark.parametrize(
    "wrong", [{"size": 1}, {"scales": []}, {"scales": [0]}, {"ratios": [-1]}, {"derivatives": -1}, {"domain": 0}]
)
def test_fields_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="spatial_fields"):
        WEIGHTS.validate_python({"spatial_fields": FIELDS | wrong})


def test_fields_need_a_kernel_of_their_size() -> None:
    fields = WEIGHTS.validate_python({"spatial_fields": FIELDS})
    connect = CONNECT.validate_python({"conv2d": {"kernel": 3}})
    with pytest.raises(ParameterError, match=r"kernel \[3, 3\], but weights of shape \[32, …, 9, 9\]"):
        build(512, 2048, dt=1e-3, connect=connect, weights=fields, from_shape=(2, 16, 16))

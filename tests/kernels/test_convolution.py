"""Convolutions and pools as synapses, against the released package and against SciPy."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.signal import correlate2d

from spikeflow.errors import ParameterError
from spikeflow.kernels import Connect, Events, Group, Network, Projection, Synapses, Train, Weights, backends, build
from spikeflow.kernels.connect import check
from spikeflow.kernels.layout import CSR
from spikeflow.kernels.models.li_box import LiBox

CONNECT: TypeAdapter[Any] = TypeAdapter(Connect)
WEIGHTS: TypeAdapter[Any] = TypeAdapter(Weights)
DATA = np.load(Path(__file__).parent.parent / "data" / "lconv2d.npz")
CASES: dict[str, dict[str, Any]] = {
    "k3": {},
    "k3_stride2_pad1": {"stride": 2, "padding": 1},
    "k5x3_dil2": {"dilation": 2, "padding": [4, 2]},
    "groups2": {"groups": 2},
}


def made(connect: Any, given: tuple[int, ...], found: tuple[int, ...], weights: Any = None, **fields: Any) -> Synapses:
    if weights is not None and not isinstance(weights, np.ndarray):
        weights = WEIGHTS.validate_python(weights)
    connect = CONNECT.validate_python(connect)
    shapes: dict[str, Any] = {"from_shape": given, "to_shape": found}
    return build(math.prod(given), math.prod(found), dt=1e-3, connect=connect, weights=weights, **shapes, **fields)


def sums(synapses: Synapses, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[post] what arrives in a tick in which every presynaptic neuron sends a spike of value x [pre]."""
    assert synapses.kind == CSR and synapses.start is not None and synapses.post is not None
    pre = np.repeat(np.arange(synapses.start.size - 1), np.diff(synapses.start)) % synapses.pre_size
    found = np.zeros(synapses.post_size, synapses.weights.dtype)
    np.add.at(found, synapses.post, synapses.weights * x[pre].astype(synapses.weights.dtype))
    return found


def case(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Input [presentations, in, height, width], kernel [out, in, height, width], output likewise."""
    x, out = DATA[f"{name}/input"], DATA[f"{name}/out"]
    return x.reshape(-1, *x.shape[2:]), DATA[f"{name}/weight"][..., 0], out.reshape(-1, *out.shape[2:])


def test_every_case_of_the_file_is_here() -> None:
    assert set(json.loads(str(DATA["meta"]))["cases"]) == set(CASES)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_the_sums_are_those_of_the_released_package(name: str, dtype: str, tolerance: float) -> None:
    x, kernel, out = case(name)
    synapses = made({"conv2d": CASES[name]}, x.shape[1:], out.shape[1:], kernel.astype(dtype))
    found = np.stack([sums(synapses, one.ravel()) for one in x])
    assert found.dtype == dtype and out.any()
    np.testing.assert_allclose(found.reshape(out.shape), out, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", [name for name in backends() if name in ("numpy", "numba")])
@pytest.mark.parametrize("name", CASES)
def test_every_backend_adds_them_up_event_by_event(name: str, backend: str) -> None:
    x, kernel, out = case(name)
    size = math.prod(out.shape[1:])
    # one tick is the time constant: v is what arrived in this tick
    group = Group("n", LiBox(tau_mem=1e-3), size, "float64", {}, {"v": (np.arange(size), 1)})
    synapses = made({"conv2d": CASES[name]}, x.shape[1:], out.shape[1:], kernel, delay=1e-3)
    network = Network(
        [group], [Train("x", math.prod(x.shape[1:]))], [Projection("x", "n", synapses)], dt=1e-3, backend=backend
    )
    tick, neuron = np.nonzero(x.reshape(len(x), -1))
    result = network.step(0, len(x) + 1, {"x": Events(tick, neuron.astype(np.uint32), None)})["n"]
    v = result.recorded["v"][2].reshape(len(x) + 1, *out.shape[1:])
    assert not v[0].any()
    np.testing.assert_allclose(v[1:], out, rtol=0, atol=1e-12)


sides = st.integers(1, 9)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def correlated(
    x: npt.NDArray[Any], kernel: npt.NDArray[Any], stride: Any, padding: Any, dilation: Any, groups: int
) -> npt.NDArray[Any]:
    """[out, height, width] by SciPy, a channel at a time, with a kernel that has zeros between its taps."""
    wide = np.zeros((*kernel.shape[:2], *(d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[2:], strict=True))))
    wide[:, :, :: dilation[0], :: dilation[1]] = kernel
    padded = np.pad(x, ((0, 0), *((p, p) for p in padding)))
    inner = kernel.shape[1]
    found = []
    for out, taps in enumerate(wide):
        first = out // (len(wide) // groups) * inner
        parts = [correlate2d(padded[first + k], taps[k], mode="valid") for k in range(inner)]
        found.append(np.sum(parts, axis=0)[:: stride[0], :: stride[1]])
    return np.stack(found)


@settings(deadline=None, max_examples=40)
@given(
    sides=st.tuples(sides, sides), taps=pairs, stride=pairs, dilation=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)), groups=st.integers(1, 3),
    inner=st.integers(1, 2), outer=st.integers(1, 2), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_convolution_is_what_scipy_makes_of_it(
    sides: Any, taps: Any, stride: Any, dilation: Any, padding: Any, groups: int, inner: int, outer: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    x, kernel = draw.normal(size=(groups * inner, *sides)), draw.normal(size=(groups * outer, inner, *taps))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, taps, strict=True)]
    connect = {"conv2d": {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}}
    if any(span > side + 2 * p for span, side, p in zip(spans, sides, padding, strict=True)):
        with pytest.raises(ParameterError, match=r"a kernel of .* on an input of"):
            made(connect, x.shape, (1,), kernel)
        return
    expected = correlated(x, kernel, stride, padding, dilation, groups)
    synapses = made(connect, x.shape, expected.shape, kernel)
    np.testing.assert_allclose(sums(synapses, x.ravel()), expected.ravel(), rtol=0, atol=1e-12)
    assert synapses.start is not None and synapses.post is not None
    rows = [synapses.post[a:b] for a, b in zip(synapses.start[:-1], synapses.start[1:], strict=True)]
    assert all((np.diff(row) > 0).all() for row in rows)  # posts ascend, and none comes twice
    if sides[0] == 1 and taps[0] == 1 and padding[0] == 0 and stride[0] == 1:
        options = {"stride": stride[1], "padding": padding[1], "dilation": dilation[1], "groups": groups}
        line = made({"conv1d": options}, (len(x), sides[1]), (len(kernel), expected.shape[2]), kernel[:, :, 0])
        np.testing.assert_array_equal(line.weights, synapses.weights)
        np.testing.assert_array_equal(line.post, synapses.post)


@settings(deadline=None, max_examples=20)
@given(
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)), taps=pairs, stride=st.none() | pairs,
    padding=st.tuples(st.integers(0, 1), st.integers(0, 1)), seed=st.integers(0, 99),
)  # fmt: skip
def test_pools_are_convolutions_of_each_channel(sides: Any, taps: Any, stride: Any, padding: Any, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(3, *sides))
    expected = correlated(x, np.ones((3, 1, *taps)), stride or taps, padding, (1, 1), 3)
    options = {"kernel": taps, "padding": padding} | ({"stride": stride} if stride else {})
    total = sums(made({"sum_pool": options}, x.shape, expected.shape), x.ravel())
    np.testing.assert_allclose(total, expected.ravel(), rtol=0, atol=1e-12)
    mean = sums(made({"avg_pool": options}, x.shape, expected.shape, 2.0), x.ravel())
    np.testing.assert_allclose(mean, 2 * expected.ravel() / math.prod(taps), rtol=0, atol=1e-12)


def test_padding_same_keeps_the_shape_and_puts_the_odd_zero_behind() -> None:
    x, kernel = np.arange(1.0, 7.0), np.array([[[1.0, 10.0]]])
    synapses = made({"conv1d": {"padding": "same"}}, (1, 6), (1, 6), kernel)
    assert sums(synapses, x).tolist() == [21, 32, 43, 54, 65, 6]
    assert made({"conv1d": {"padding": "valid"}}, (1, 6), (1, 5), kernel).post_size == 5


def test_every_weight_of_a_kernel_is_drawn_once() -> None:
    normal = {"normal": {"mean": 0.0, "std": 1.0}}
    drawn = made({"conv2d": {"kernel": 3}}, (2, 8, 8), (4, 6, 6), normal)
    assert np.unique(drawn.weights).size == 4 * 2 * 9
    assert drawn.count == 4 * 2 * 9 * 36
    flat = build(
        128, 144, dt=1e-3, connect=CONNECT.validate_python({"conv2d": {"kernel": 3}}),
        weights=WEIGHTS.validate_python(normal), from_shape=(2, 8, 8),
    )  # fmt: skip
    np.testing.assert_array_equal(flat.weights, drawn.weights)  # four channels follow from the size
    more = made({"conv2d": {"kernel": 3}}, (2, 8, 8), (6, 6, 6), normal)
    assert set(drawn.weights.tolist()) < set(more.weights.tolist())
    other = made({"conv2d": {"kernel": 3}}, (2, 8, 8), (4, 6, 6), normal, seed=1)
    assert not set(drawn.weights.tolist()) & set(other.weights.tolist())


def test_a_plain_number_is_every_weight_of_the_kernel() -> None:
    assert (made({"conv1d": {"kernel": 3}}, (2, 8), (4, 6), 0.25).weights == 0.25).all()
    assert (made({"conv1d": {"kernel": [3]}}, (2, 8), (4, 6)).weights == 1).all()
    assert made("conv2d", (2, 8, 8), (1, 6, 6), np.ones((1, 2, 3, 3))).count == 36 * 18


def test_work_grows_with_events_and_not_with_the_input() -> None:
    reached = []
    for side in (12, 48):
        synapses = made({"conv2d": {}}, (2, side, side), (4, side - 2, side - 2), np.ones((4, 2, 3, 3)))
        assert synapses.start is not None
        count = np.diff(synapses.start)
        assert count.max() == 4 * 9
        inner = [side + 4, 2 * side + 5, side * side + 5 * side + 6]  # three spikes away from the border
        reached.append(int(count[inner].sum()))
    assert reached[0] <= 3 * 36 and reached == [reached[0]] * 2
    pooled = made({"sum_pool": {"kernel": 2}}, (2, 8, 8), (2, 4, 4))
    assert pooled.start is not None and (np.diff(pooled.start) == 1).all()


def test_flatten_joins_neuron_to_neuron() -> None:
    synapses = made("flatten", (2, 3, 4), (24,))
    assert (synapses.pre_size, synapses.post_size, synapses.weights.tolist()) == (24, 24, [1.0] * 24)
    with pytest.raises(ParameterError, match="connect: flatten from 24 to 25 neurons"):
        made("flatten", (2, 3, 4), (25,))


def test_delays_may_be_one_a_neuron_and_autapses_left_out() -> None:
    late = np.arange(16) % 3 * 1e-3
    each = made({"conv2d": {}}, (1, 4, 4), (1, 2, 2), np.arange(9.0).reshape(1, 1, 3, 3), delay=late)
    assert each.delays.tolist() == [0, 1, 2]
    x = np.random.default_rng(0).normal(size=16)
    one = made({"conv2d": {}}, (1, 4, 4), (1, 2, 2), np.arange(9.0).reshape(1, 1, 3, 3), delay=2e-3)
    assert one.delays.tolist() == [2]
    np.testing.assert_allclose(sums(each, x), sums(one, x), atol=1e-12)
    same = {"conv2d": {"kernel": 3, "padding": 1}}
    assert made(same, (1, 4, 4), (1, 4, 4), autapses=False).count == made(same, (1, 4, 4), (1, 4, 4)).count - 16


K = np.ones((4, 2, 3, 3))


@pytest.mark.parametrize(
    ("connect", "given", "found", "weights", "says"),
    [
        ("conv2d", (), (4, 6, 6), K, "from 1 neurons whose shape is not known — write from_shape: [channels, "),
        ("conv2d", (8, 8), (4, 6, 6), K, "height, width], the input is [8, 8] — write from_shape: [1, 8, 8]"),
        ("conv1d", (2, 8, 8), (4, 6, 6), K, "takes [channels, length], the input is [2, 8, 8]"),
        ("conv2d", (3, 8, 8), (4, 6, 6), K, "take 2 channels, the input [3, 8, 8] has 3 — give [out, 3, height"),
        ("conv2d", (4, 8, 8), (4, 6, 6), K, "has 4 — give [out, 4, height, width], or write groups: 2"),
        ({"conv2d": {"groups": 2}}, (3, 8, 8), (4, 6, 6), K, "3 channels in 2 groups — take a divisor of the channels"),
        ({"conv2d": {"groups": 2}}, (2, 8, 8), (4, 6, 6), K, "take 4 channels in 2 groups, the input [2, 8, 8] has 2"),
        ({"conv2d": {"groups": 2}}, (4, 8, 8), (5, 6, 6), np.ones((5, 2, 3, 3)), "5 output channels in 2 groups"),
        ("conv2d", (2, 8, 8), (4, 8, 8), K, "gives [4, 6, 6], the population has [4, 8, 8] — write size: [4, 6, 6]"),
        ("conv2d", (2, 8, 8), (6, 6, 4), K, "gives [4, 6, 6], the population has [6, 6, 4]"),
        ("conv2d", (2, 2, 8), (4, 1, 6), K, "a kernel of [3, 3] on an input of [2, 8] — take a smaller one, or more"),
        ({"conv2d": {"dilation": 4, "padding": 1}}, (2, 6, 6), (1,), K, "an input of [6, 6], [8, 8] with its padding"),
        ("conv2d", (2, 8, 8), (4, 6, 6), K[0], "weights of shape [2, 3, 3] for conv2d — give [out, 2, height"),
        ("conv2d", (2, 8, 8), (4, 6, 6), None, "does not know how large its kernel is — write {conv2d: {kernel: 3}}"),
        ({"conv2d": {"kernel": 5}}, (2, 8, 8), (4, 6, 6), K, "kernel [5, 5], but weights of shape [4, 2, 3, 3]"),
        ({"conv2d": {"padding": "same", "stride": 2}}, (2, 8, 8), (4, 4, 4), K, "padding: same with stride [2, 2]"),
        ({"conv1d": {"stride": [1, 2]}}, (2, 8), (4, 6), K[:, :, 0], "has the stride [1, 2] — write one number"),
        ({"sum_pool": {"kernel": 2}}, (2, 8, 8), (2, 4, 4), K, "weights of a pool — leave them out, or write one"),
        ({"sum_pool": {"kernel": 2}}, (2, 8, 8), (2, 4, 5), None, "sum_pool from [2, 8, 8] gives [2, 4, 4]"),
        ("conv2d", (2, 8, 8), (4, 6, 6), np.full((4, 2, 3, 3), np.nan), "the array holds values that are not finite"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_what_would(connect: Any, given: Any, found: Any, weights: Any, says: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(says)):
        made(connect, given, found, weights)


def test_only_kernels_of_convolutions_are_spatial_fields() -> None:
    fields = WEIGHTS.validate_python({"spatial_fields": {"scales": [1.0], "size": 3}})
    with pytest.raises(ParameterError, match="spatial_fields are the kernels of a convolution — write connect: conv2d"):
        check(4, 4, weights=fields)


@pytest.mark.parametrize(
    ("connect", "says"),
    [
        ({"conv2d": {"stride": 0}}, "connect.conv2d.stride: 0 — write a whole number of 1 or more, or two"),
        ({"conv2d": {"padding": -1}}, "connect.conv2d.padding: -1 — write a whole number of 0 or more"),
        ({"conv2d": {"padding": "full"}}, "connect.conv2d.padding: 'full' — write a whole number of 0 or more"),
        ({"conv2d": {"strides": 1}}, "connect.conv2d.strides is not known — did you mean 'stride'?"),
        ({"sum_pool": {}}, "connect.sum_pool.kernel is missing"),
        ({"conv2d": 3}, "connect.conv2d is 3 — write a mapping"),
        ({"conv3d": {}}, "did you mean 'conv"),
        ("flaten", "did you mean 'flatten'"),
    ],
)
def test_what_is_no_connection_says_what_would_be(connect: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        CONNECT.validate_python(connect)

"""Each word of the vocabulary, and what every model shares: the printed C gives NumPy's bits."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikeflow.kernels.cuda_printer import WORDS, print_function
from spikeflow.kernels.vocabulary import absolute, exp, flush, maximum, minimum, where

from .cuda_host import COMPILER, Guarded, HostKernel

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.1, 3.0, 1e-30, -9.9e-31, 1e-40, 1e30, np.inf, -np.inf, np.nan]


def less(a: Any, b: Any, c: Any) -> Any:
    return where(a < b, c, a)


def within(a: Any, b: Any, c: Any) -> Any:
    return where((a <= b) & (b >= c) & (a != c), a, c)


def equal(a: Any, b: Any, c: Any) -> Any:
    return where(a == b, minimum(b, c), maximum(a, c))


def unsigned(a: Any, b: Any, c: Any) -> Any:
    return absolute(a) + absolute(b * c)


def arithmetic(a: Any, b: Any, c: Any) -> Any:
    return a * b + c - (-a / b) - c


def grown(a: Any, b: Any, c: Any) -> Any:
    return exp(a) * b + c


def kernel(function: Callable[..., Any], real: str) -> str:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    printed = print_function(node, "word", "a test")
    return f"""{WORDS}{printed.text}
extern "C" __global__ void each({real} *a, {real} *b, {real} *c, {real} *out, const int *size) {{
    for (int k = threadIdx.x; k < *size; k += blockDim.x) word(a[k], b[k], c[k], out[k]);
}}
"""


def run(function: Callable[..., Any], real: str, inputs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    arrays = Guarded()
    places = [arrays.copy(each) for each in (*inputs, np.zeros_like(inputs[0]))]
    size = np.array([inputs[0].size], np.int32)
    HostKernel(kernel(function, real), "each").run([*places, size], threads=7, reverse=False)
    arrays.check()
    return places[3]


@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("function", [less, within, equal, unsigned, arithmetic, flush])
def test_printed_words_give_the_bits_of_numpy(function: Callable[..., Any], real: str) -> None:
    kind = np.dtype(np.float32 if real == "float" else np.float64)
    a, b, c = (grid.ravel().astype(kind) for grid in np.meshgrid(SPECIAL, SPECIAL, SPECIAL))
    printed = run(function, real, (a, b, c))
    with np.errstate(all="ignore"):
        expected: npt.NDArray[Any] = np.asarray(function(a, b, c), kind)
    same = (printed == expected) & (np.signbit(printed) == np.signbit(expected))
    assert (same | (np.isnan(printed) & np.isnan(expected))).all()


@pytest.mark.parametrize(("real", "kind", "near"), [("float", np.float32, 3e-7), ("double", np.float64, 1e-15)])
def test_exp_is_the_machine_s_own(real: str, kind: Any, near: float) -> None:
    a = np.linspace(-5, 5, 101, dtype=kind)
    inputs = (a, np.ones_like(a), np.zeros_like(a))
    np.testing.assert_allclose(run(grown, real, inputs), grown(*inputs), rtol=near)

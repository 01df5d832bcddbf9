"""Whatever is drawn of a model, of its numbers, its input and the windows: every backend does as the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from spikeflow.kernels import backends, register

from . import catalogue, draws
from .cuda_host import COMPILER, backend

NUMBA = ("numba",) if "numba" in backends() else ()
BLOCKS = tuple(f"cuda_host {threads} {way}" for threads in (1, 7, 32, 64, 101) for way in ("up", "down"))
HOST = BLOCKS if COMPILER is not None else ()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # to explain takes as long as to shrink
pytestmark = [
    pytest.mark.skipif(not NUMBA and not HOST, reason="there is neither Numba nor g++ for Linux here"),
    pytest.mark.timeout(900),  # a failure is worth the time to shrink it
]

for name in BLOCKS:
    _, threads, way = name.split()
    register(name, backend(int(threads), reverse=way == "down"))


def agree(shape: draws.Shape, examples: int) -> int:
    """Holds all backends to the reference on cases of a shape; returns how many spikes there were."""
    spikes = 0

    @settings(max_examples=examples, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(case=draws.cases(shape), host=st.sampled_from(HOST or (None,)))
    @example(case=draws.lively(shape), host=(HOST or (None,))[0])
    def same(case: draws.Case, host: str | None) -> None:
        nonlocal spikes
        expected = draws.seen(case, "numpy")
        for name in (*NUMBA, *([] if host is None else [host])):
            assert draws.differences(draws.seen(case, name, case.cuts), expected, case) == [], name
        spikes += np.size(expected.get("n/t", ()))

    same()
    return spikes


@pytest.mark.parametrize("kind", catalogue.models())
def test_every_backend_does_as_the_reference_whatever_is_drawn(kind: str) -> None:
    spikes = [agree(shape, examples=5) for shape in draws.few(kind)]
    assert all(spikes) == catalogue.models()[kind].spikes


@pytest.mark.slow
@pytest.mark.parametrize("kind", catalogue.models())
def test_every_backend_does_as_the_reference_in_every_shape(kind: str) -> None:
    spikes = [agree(shape, examples=5) for shape in draws.shapes(kind)]
    assert all(spikes) == catalogue.models()[kind].spikes

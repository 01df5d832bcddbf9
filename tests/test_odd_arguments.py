"""Arguments of `encode` and `decode` that nobody should give: each is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeflow import decode, encode
from spikeflow.errors import ParameterError

X: Any = [[0.0], [1.0]]
MASKED: Any = np.ma.masked_array([[1.0, 2.0]], [[True, False]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: encode("rate", X, seed="a"), "seed is 'a' — give a whole number"),  # type: ignore[arg-type]
        (lambda: encode("rate", X, seed=1.5), "seed is 1.5 — give a whole number"),  # type: ignore[arg-type]
        (lambda: encode("rate", X, ticks=True), "ticks is True — give a whole number"),
        (lambda: encode(3, X), "3 as the kind of an encoder — give the name of one, such as 'bsa'"),  # type: ignore[arg-type]
        (lambda: decode(None, X), "None as the kind of a decoder — give the name of one"),  # type: ignore[arg-type]
        (lambda: encode("rate", X, dt=1e300), "dt of 1e+300 — give seconds, or a text such as '1 ms'"),
        (lambda: encode("rate", X, dt=10**400), "give seconds, or a text such as '1 ms'"),
        (lambda: encode("rate", X, dt=True), "dt of True — give seconds, or a text such as '1 ms'"),
        (lambda: decode("rate", X, over="1 ms", dt=-np.inf), "dt of -inf — give seconds"),
        (lambda: encode("rate", MASKED), "a masked array — say what stands for what is masked"),
        (lambda: decode("spike_count", MASKED), "a masked array — say what stands for what is masked"),
        (lambda: encode("level_crossing", X, threshold=1, ticks=10**14), "which takes 400,000 GB — this machine has"),
        (lambda: decode("population_vector", [[1, 2]], range=(0,)), "range.1 is missing — give it too"),
        (
            lambda: decode("population_vector", [[1, 2]], range=(-1.7e308, 1.7e308)),
            "a range from -1.7e+308 to 1.7e+308 — write [low, high]",
        ),
    ],
)
def test_it_is_refused_with_what_would_work(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ParameterError) as caught:
        call()
    assert says in str(caught.value)

"""The synapses of one projection in the form that every backend reads: by presynaptic neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow.errors import ParameterError
from spikeflow.kernels.layout import CSR, DENSE, ONE_TO_ONE

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses from `pre_size` neurons (or channels) to `post_size` neurons.

    Attributes:
        kind: DENSE, CSR or ONE_TO_ONE.
        weights: DENSE [pre, post]; CSR one per synapse; ONE_TO_ONE one per neuron. Those of float16 are kept as they
            are, and widened to the precision of the population as they are read; any others are kept in it.
        delays: the distinct delays in ticks, ascending.
        start: CSR, [delays * pre + 1]: where the synapses of each neuron at each delay start, delays outermost.
        post: CSR, the postsynaptic neuron of each synapse.
        member: which delay each presynaptic neuron has, where it is not one for all and not one per synapse.
    """

    pre_size: int
    post_size: int
    kind: int
    weights: npt.NDArray[np.floating]
    delays: Ints
    start: Ints | None = None
    post: npt.NDArray[np.int32] | None = None
    member: npt.NDArray[np.int32] | None = None

    @property
    def count(self) -> int:
        """How many synapses there are."""
        return self.weights.size

    @property
    def half(self) -> bool:
        """Whether the weights are kept as float16."""
        return self.weights.dtype == np.float16


def ticks(delay: npt.ArrayLike) -> Ints:
    """Delays as whole ticks, not negative."""
    values = np.asarray(delay)
    whole: Ints = np.rint(values).astype(np.int64)
    if values.dtype.kind == "f" and not np.array_equal(values, whole):
        worst = float(values[values != whole].flat[0]) if values.ndim else float(values)
        raise ParameterError(f"a delay of {worst:g} ticks", "delays are whole ticks")
    if whole.size and int(whole.min()) < 0:
        raise ParameterError(f"a delay of {int(whole.min())} ticks", "delays are not negative")
    return whole


def _by_neuron(delay: npt.ArrayLike, pre_size: int) -> tuple[Ints, npt.NDArray[np.int32] | None]:
    whole = ticks(delay)
    if whole.ndim == 0:
        return whole.reshape(1), None
    if whole.shape != (pre_size,):
        raise ParameterError(
            f"delays of shape {list(whole.shape)} for {pre_size} presynaptic neurons",
            f"give one number, [{pre_size}], or one per synapse in the shape of the weights",
        )
    delays, member = np.unique(whole, return_inverse=True)
    return delays, (member.astype(np.int32) if delays.size > 1 else None)


def dense(weights: npt.NDArray[np.floating], delay: npt.ArrayLike = 0) -> Synapses:
    """Every neuron to every neuron; `weights` [pre, post], `delay` a number, [pre] or [pre, post] in ticks."""
    pre_size, post_size = weights.shape
    if np.ndim(delay) == 2:
        pre, post = np.divmod(np.arange(weights.size), post_size)
        return sparse(pre_size, post_size, pre, post, weights.ravel(), np.asarray(delay).ravel())
    delays, member = _by_neuron(delay, pre_size)
    return Synapses(pre_size, post_size, DENSE, weights, delays, member=member)


def one_to_one(weights: npt.NDArray[np.floating], delay: npt.ArrayLike = 0) -> Synapses:
    """Neuron n to neuron n; `weights` one per neuron, `delay` a number or one per neuron in ticks."""
    delays, member = _by_neuron(delay, weights.size)
    return Synapses(weights.size, weights.size, ONE_TO_ONE, weights, delays, member=member)


def sparse(
    pre_size: int,
    post_size: int,
    pre: npt.NDArray[np.integer],
    post: npt.NDArray[np.integer],
    weights: npt.NDArray[np.floating],
    delay: npt.ArrayLike = 0,
) -> Synapses:
    """Single synapses; `pre`, `post` and `weights` one per synapse, `delay` a number or one per synapse in ticks."""
    each = np.broadcast_to(ticks(delay), pre.shape)
    delays, which = np.unique(each, return_inverse=True)
    if not delays.size:  # no synapses: the delay that they would have
        delays = np.full(1, ticks(delay).min(initial=np.iinfo(np.int64).max) if np.size(delay) else 0)
    row = which.astype(np.int64) * pre_size + pre
    # stable: several synapses between the same two neurons keep the order of the file, which the sum depends on
    order = np.lexsort((post, row))
    start = np.zeros(delays.size * pre_size + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=delays.size * pre_size), out=start[1:])
    return Synapses(pre_size, post_size, CSR, weights[order], delays, start=start, post=post[order].astype(np.int32))

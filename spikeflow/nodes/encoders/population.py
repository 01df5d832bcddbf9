"""Population: a value as the responses of neurons that each prefer another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from spikeflow.events import Kind, Stream, Values, columns, empty, sample_batch, sort
from spikeflow.node import ALWAYS, Encoder


class Population(Encoder):
    """Each sample becomes one sample for each of `centres` values spread evenly from 0 to `scale`: how near it is.

    The response is kernel(distance(x, centre) · scale). Channel c has the outputs c · centres to (c + 1) · centres - 1.
    It gives samples, not spikes: follow it with `poisson`, or feed it into a population as a current.
    Source: Norse 1.1, population_encode, which multiplies the distance by the scale once more; there the scale is the
    largest value of all by default, which a stream cannot know.
    """

    gives: ClassVar[tuple[Kind, ...]] = ("samples",)
    trusted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    centres: int = Field(ge=1, description="how many neurons share a channel")
    scale: float = Field(gt=0, allow_inf_nan=False, description="the largest centre, in units of the samples")
    kernel: Literal["gaussian", "laplace"] = Field(
        "gaussian", description="of a distance d: exp(-d / 2 sigma²), or exp(-d / sigma)"
    )
    distance: Literal["squared", "absolute"] = Field("squared", description="(x - centre)², or |x - centre|")
    sigma: float = Field(1.0, gt=0, allow_inf_nan=False, description="the width of the kernel")

    def outlets(self, inputs: Sequence[Stream]) -> dict[str, Stream]:
        """`centres` channels for each of the input's, of the input's precision."""
        shape = (*(inputs[0].shape or (inputs[0].size,)), self.centres)
        return {"": Stream("", "samples", inputs[0].size * self.centres, shape=shape, double=inputs[0].double)}

    def rests_until(self) -> int:
        """Until the next sample."""
        return ALWAYS

    def encode(self, samples: pa.RecordBatch) -> pa.RecordBatch:
        """Encode one window.

        Args:
            samples: [n] rows of `t`, `channel`, `value`, in time order.

        Returns:
            [n · centres] rows of `t`, `channel` and `value` in [0, 1].
        """
        if not samples.num_rows:
            return empty(self.context.outlet.plain)
        t_ns, channel, value = columns(samples)
        response = responses(value, self.centres, self.scale, self.kernel, self.distance, self.sigma)
        wide = channel.astype(np.int64)[:, None] * self.centres + np.arange(self.centres)
        found = sort(np.repeat(t_ns, self.centres), wide.ravel().astype(np.uint32), response.ravel())
        return sample_batch(found[0], found[1], found[2] if found[2] is not None else ())


def responses(
    x: Values, centres: int, scale: float, kernel: str = "gaussian", distance: str = "squared", sigma: float = 1.0
) -> Values:
    """[n, centres] responses to [n] values, in the precision of the values."""
    kind = x.dtype.type
    away: npt.NDArray[np.floating[Any]] = x[:, None] - evenly(scale, centres).astype(kind)
    with np.errstate(over="ignore"):
        away = away * away if distance == "squared" else np.abs(away)
        away = away * kind(scale)
        width = 2.0 * sigma * sigma if kernel == "gaussian" else sigma
        result: Values = np.exp(-away / kind(width))
    return result


def evenly(scale: float, count: int) -> npt.NDArray[np.float32]:
    """[count] centres from 0 to `scale`, in float32 and from both ends to the middle, as PyTorch makes them."""
    last = np.float32(scale)
    step = last / np.float32(max(1, count - 1))
    place = np.arange(count, dtype=np.float32)
    found = np.where(place < count // 2, step * place, last - step * (np.float32(count - 1) - place))
    return found if count > 1 else np.zeros(1, np.float32)

"""Receptive fields: kernels that see edges and blobs of some scales and angles, and time constants over scales.

Source: Norse 1.1, norse.torch.functional.receptive_field, with what it does differently from what one would expect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats: TypeAlias = npt.NDArray[np.float64]
SQRT2 = 1.41421
"""The ratio of neighbouring scales, with the digits that the released package has."""


def covariance_matrix(sigma1: float, sigma2: float, phi: float) -> Floats:
    """[2, 2] covariance of a Gaussian with these standard deviations along its axes, turned by `phi` (rad)."""
    first, second = sigma1 * sigma1, sigma2 * sigma2
    cos, sin = math.cos(phi), math.sin(phi)
    mixed = (first - second) * cos * sin
    return np.array(
        [
            [first * cos * cos + second * sin * sin, mixed],
            [mixed, first * sin * sin + second * cos * cos],
        ]
    )


def gaussian_kernel(size: int, covariance: npt.ArrayLike, domain: float) -> Floats:
    """[size, size] density of a Gaussian on points from -domain to domain; x runs along columns, y along rows."""
    matrix = np.asarray(covariance, np.float64)
    line = np.linspace(-domain, domain, size)
    x, y = line[None, :], line[:, None]
    inverse = np.linalg.inv(matrix)
    distance = inverse[0, 0] * x * x + (inverse[0, 1] + inverse[1, 0]) * x * y + inverse[1, 1] * y * y
    found: Floats = np.exp(-0.5 * distance) / (2.0 * math.pi * math.sqrt(np.linalg.det(matrix)))
    return found


def spatial_receptive_field(
    scale: float, angle: float, ratio: float, size: int, dx: int = 0, dy: int = 0, domain: float = 10.0
) -> Floats:
    """[size, size] a Gaussian whose sum is 1, derived `dx` times along `angle` (rad) and `dy` times across it.

    The covariance is multiplied by the scale, not by its square. A derivative is a difference of neighbours times the
    scale, whatever the domain; along an angle of 0 it runs along rows, the axis of y. Derivatives along and across
    take turns, as long as any is left.
    """
    kernel = gaussian_kernel(size, covariance_matrix(ratio, 1.0 / ratio, angle) * scale, domain)
    kernel = kernel / kernel.sum()
    while dx > 0 or dy > 0:
        if dx > 0:
            kernel = _derived(kernel, angle) * scale
            dx -= 1
        if dy > 0:
            kernel = _derived(kernel, angle + math.pi / 2.0) * scale
            dy -= 1
    return kernel


def _derived(kernel: Floats, angle: float) -> Floats:
    found: Floats = math.cos(angle) * np.gradient(kernel, axis=0) + math.sin(angle) * np.gradient(kernel, axis=1)
    return found


def spatial_parameters(
    scales: Sequence[float],
    angles: Sequence[float],
    ratios: Sequence[float],
    derivatives: int | Sequence[tuple[int, int]] = 0,
) -> Floats:
    """[n, 5] rows of scale, angle, ratio, dx, dy: every combination, the derivatives changing fastest.

    Rows of ratio 1, which look the same at every angle, come last; all their angles are kept.

    Args:
        derivatives: 0 for none, n for every (dx, dy) with both from 0 to n, or the pairs.
    """
    if isinstance(derivatives, int):
        derivatives = [(dx, dy) for dx in range(derivatives + 1) for dy in range(derivatives + 1)]
    rows = [(s, a, r, dx, dy) for s in scales for a in angles for r in ratios for dx, dy in derivatives]
    rows.sort(key=lambda row: row[2] == 1.0)
    return np.array(rows, np.float64).reshape(-1, 5)


def temporal_scale_distribution(
    count: int, min_scale: float = 1.0, max_scale: float | None = None, c: float = SQRT2
) -> Floats:
    """[count] scales, each the square root of a variance in ticks.

    Without `max_scale` they ascend from the root of `min_scale` by the factor `c`. With it `c` is not used, and they
    descend from max_scale / sqrt(min_scale) to the root of `max_scale`. One scale is the root of `min_scale`.
    """
    if count > 1 and max_scale is not None:
        c = (min_scale / max_scale) ** (1.0 / (2.0 * (count - 1)))
        largest = max_scale
    else:
        largest = c ** (2.0 * (count - 1)) * min_scale
    k = np.arange(1, count + 1, dtype=np.float64)
    found: Floats = np.sqrt(c ** (2.0 * (k - count)) * largest)
    return found


def temporal_time_constants(scales: npt.ArrayLike, dt: float, channels: int = 1) -> Floats:
    """[scales * channels] time constants (s) of a leaky integrator `li_box` for each scale and channel, scale by scale.

    A scale of 1 is one tick: the output is the input.
    """
    found: Floats = np.repeat(np.asarray(scales, np.float64) * dt, channels)
    return found


# ---- as weights of a graph file


class Fields(BaseModel):
    """A kernel for every combination of scale, angle, ratio and derivative."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1, description="variances of the Gaussian")
    angles: tuple[float, ...] = Field((0.0,), min_length=1, description="directions (rad)")
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1.0,), min_length=1, description="how much longer than round, as the factor of one axis; the other has 1 / it"
    )
    derivatives: Annotated[int, Field(ge=0)] | tuple[tuple[int, int], ...] = Field(
        0, description="0 for none, n for every (dx, dy) with both from 0 to n, or the pairs"
    )
    size: int = Field(ge=2, description="height and width of the kernels")
    domain: float = Field(8.0, gt=0, description="the kernels reach from -domain to domain")

    def parameters(self) -> Floats:
        """[n, 5] rows of scale, angle, ratio, dx, dy."""
        return spatial_parameters(self.scales, self.angles, self.ratios, self.derivatives)


class SpatialFields(BaseModel):
    """Spatial receptive fields as the kernel of a convolution, the same for every input channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spatial_fields: Fields

    def shape(self) -> tuple[int, None, int, int]:
        """The shape [out, in, size, size]; fields go with any number of input channels."""
        fields = self.spatial_fields
        return len(fields.parameters()), None, fields.size, fields.size

    def kernel(self, channels: int) -> Floats:
        """[out, channels, size, size] the fields, repeated over input channels."""
        fields = self.spatial_fields
        made = [
            spatial_receptive_field(s, a, r, fields.size, int(dx), int(dy), fields.domain)
            for s, a, r, dx, dy in fields.parameters()
        ]
        return np.repeat(np.array(made)[:, None], channels, axis=1)

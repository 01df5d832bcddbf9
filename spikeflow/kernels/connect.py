"""The synapses that a projection of a graph file means."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spikeflow import noise
from spikeflow.errors import ParameterError
from spikeflow.kernels import convolution, synapses
from spikeflow.kernels.connect_fields import Constant, Indegree, Layout, Normal, Outdegree, Probability
from spikeflow.kernels.convolution import AvgPool, ShapeError, SumPool
from spikeflow.kernels.receptive_fields import SpatialFields
from spikeflow.kernels.synapses import Synapses
from spikeflow.kernels.weight_files import File, Loaded, Shape, load, numbers_of, shape_of
from spikeflow.machine import gigabytes, memory
from spikeflow.units import Seconds, format_seconds

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]


_DENSE_BYTES = 8
_SPARSE_BYTES = 24
"""A synapse while it is built: its weight, and the numbers of its two neurons."""


def check(
    pre_size: int,
    post_size: int,
    *,
    connect: Any = None,
    weights: Any = None,
    layout: Layout = "post_pre",
    delay: Any = 0.0,
    from_shape: tuple[int, ...] = (),
    to_shape: tuple[int, ...] = (),
) -> None:
    """Raise what `build` would raise for sizes, shapes and files, reading headers only."""
    connect = _default(connect, weights)
    _room(pre_size, post_size, connect)
    if convolution.windowed(connect):
        _planned(pre_size, post_size, connect, weights, layout, from_shape, to_shape)
        if isinstance(delay, File):
            _delay_shape(shape_of(delay).shape, pre_size, None)
        return
    if isinstance(weights, SpatialFields):
        raise ParameterError("spatial_fields are the kernels of a convolution", "write connect: conv2d beside them")
    if connect in ("one_to_one", "flatten") and pre_size != post_size:
        raise ParameterError(
            f"connect: {connect} from {pre_size} to {post_size} neurons", "make the sizes agree, or give weights"
        )
    if not isinstance(weights, File | np.ndarray):
        if isinstance(delay, File):
            _delay_shape(shape_of(delay).shape, pre_size, None)
        return
    _refuse_random(connect, weights)
    found = shape_of(weights) if isinstance(weights, File) else Shape(weights.shape)
    _fit(found, pre_size, post_size, connect, layout)
    if isinstance(delay, File):
        _delay_shape(shape_of(delay).shape, pre_size, found.shape)


def _room(pre_size: int, post_size: int, connect: Any) -> None:
    """Refuse more synapses than fit into this machine, by the least that they take while they are built."""
    match connect:
        case Probability():
            count, each = connect.probability * pre_size * post_size, _SPARSE_BYTES
        case Indegree():
            count, each = connect.indegree * post_size, _SPARSE_BYTES
        case Outdegree():
            count, each = connect.outdegree * pre_size, _SPARSE_BYTES
        case "all":
            count, each = pre_size * post_size, _DENSE_BYTES
        case _:
            return
    if count * each > memory():
        found = f"{count:.3g} synapses, which take {gigabytes(count * each)}"
        fewer = "{indegree: k} makes fewer" if connect == "all" or isinstance(connect, Probability) else "connect fewer"
        raise ParameterError(found, f"this machine has {gigabytes(memory())}; {fewer}")


def first_weights(
    pre_size: int, post_size: int, weights: Any, count: int, seed: int, name: str | int
) -> npt.NDArray[np.floating]:
    """The weights of the first `count` pairs of neurons as they would be drawn; all of a file or an array."""
    if isinstance(weights, File):
        return load(weights).values.ravel()
    if isinstance(weights, np.ndarray):
        return weights.ravel()
    pre, post = np.divmod(np.arange(min(count, pre_size * post_size)), post_size)
    return _drawn(weights, pre, post, seed, name)


def _default(connect: Any, weights: Any) -> Any:
    if connect is not None:
        return connect
    return "one_to_one" if weights is None else "all"


def _refuse_random(connect: Any, weights: Any) -> None:
    if isinstance(connect, Probability | Indegree | Outdegree):
        (name,) = connect.model_dump()
        what = f"the file {weights}" if isinstance(weights, File) else "an array"
        raise ParameterError(
            f"connect: {name} with weights from {what}",
            "leave connect out, or give the weights by a number or generator",
        )


def _fit(found: Shape, pre: int, post: int, connect: Any, layout: Layout) -> None:
    shape = found.shape
    if connect in ("one_to_one", "flatten"):
        if shape != (pre,):
            what, hint = f"weights of shape {list(shape)} for {connect}", f"give [{pre}], one for each pair"
            if found.sparse:
                what = f"sparse {what}"
                hint = f"leave connect out, the file says which neurons it joins; or store [{pre}] by numpy.savez"
            elif len(shape) == 2:
                hint += ", or leave connect out for a matrix"
            raise ParameterError(what, hint)
        return
    want, other = ((post, pre), "pre_post") if layout == "post_pre" else ((pre, post), "post_pre")
    names = "[post, pre]" if layout == "post_pre" else "[pre, post]"
    if shape == want:
        return
    if shape == want[::-1]:
        raise ParameterError(
            f"weights of shape {list(shape)}, but {names} is {list(want)}: they fit only transposed",
            f"write layout: {other}, or transpose the file",
        )
    raise ParameterError(f"weights of shape {list(shape)}", f"{names} is {list(want)} here")


def _delay_shape(shape: tuple[int, ...], pre: int, weights: tuple[int, ...] | None) -> None:
    if shape != (pre,) and (weights is None or shape != weights):
        each = f", or {list(weights)} for one per synapse" if weights else ""
        raise ParameterError(f"delays of shape {list(shape)}", f"give [{pre}] for one per presynaptic neuron{each}")


def build(
    pre_size: int,
    post_size: int,
    *,
    dt: Seconds,
    connect: Any = None,
    weights: Any = None,
    delay: Any = 0.0,
    layout: Layout = "post_pre",
    autapses: bool = True,
    seed: int = 0,
    name: str | int = "",
    from_shape: tuple[int, ...] = (),
    to_shape: tuple[int, ...] = (),
) -> Synapses:
    """The synapses that a projection's fields mean.

    Args:
        weights: a number, a generator, a file, an array [post, pre] (the kernel of a convolution), or None for 1.
        delay: seconds, an array or file of seconds per presynaptic neuron, or per synapse in the shape of the weights.
        autapses: False leaves out synapses from a neuron to the one with its own number.
        seed, name: what random connections and weights are drawn by: the graph's seed and the projection's name.
        from_shape, to_shape: the shapes of the two sides, which convolutions and pools go by; empty where unknown.

    Raises:
        ParameterError: something does not fit, with what would.
    """
    connect = _default(connect, weights)
    if convolution.windowed(connect):
        plan = _planned(pre_size, post_size, connect, weights, layout, from_shape, to_shape)
        late = ticks(delay, dt)
        _delay_shape(late.shape or (pre_size,), pre_size, None)
        return convolution.connected(plan, _kernel(plan, connect, weights, seed, name), late, autapses)
    check(pre_size, post_size, connect=connect, weights=weights, layout=layout)
    connect = "one_to_one" if connect == "flatten" else connect
    if isinstance(weights, File | np.ndarray):
        return _fromnumbers_of(pre_size, post_size, connect, weights, delay, layout, autapses, dt)
    late = ticks(delay, dt)
    if connect == "one_to_one":
        _delay_shape(late.shape or (pre_size,), pre_size, None)
        if not autapses:
            empty = np.zeros(0, np.int64)
            return synapses.sparse(pre_size, post_size, empty, empty, np.zeros(0))
        pre = np.arange(pre_size)
        return synapses.one_to_one(_drawn(weights, pre, pre, seed, name), late)
    if late.ndim:
        _delay_shape(late.shape, pre_size, None)
    if connect == "all" and autapses:
        wide = np.empty((pre_size, post_size))
        for p in range(pre_size):
            wide[p] = _drawn(weights, np.full(post_size, p), np.arange(post_size), seed, name)
        return synapses.dense(wide, late)
    pre, post = _pairs(connect, pre_size, post_size, seed, name)
    if not autapses:
        kept = pre != post
        pre, post = pre[kept], post[kept]
    strength = _drawn(
        weights, pre, post, seed, name, repeated=not isinstance(connect, Probability) and connect != "all"
    )
    return synapses.sparse(pre_size, post_size, pre, post, strength, late[pre] if late.ndim else late)


def ticks(delay: Any, dt: Seconds) -> Ints:
    """Delays in whole ticks, from seconds."""
    if isinstance(delay, File):
        loaded = load(delay)
        if loaded.row is not None:
            raise ParameterError(
                f"the delays in {delay} are sparse", "give one per synapse in the order of the weights"
            )
        delay = loaded.values
    seconds = np.asarray(delay, np.float64)
    exact = seconds / dt
    whole = np.rint(exact)
    if (apart := np.abs(exact - whole) > 1e-6).any():
        worst = float(seconds[apart].flat[0]) if seconds.ndim else float(seconds)
        raise ParameterError(
            f"a delay of {format_seconds(worst)} is not a whole number of ticks",
            f"write a multiple of {format_seconds(dt)}",
        )
    return synapses.ticks(whole)


def _fromnumbers_of(
    pre_size: int, post_size: int, connect: Any, weights: Any, delay: Any, layout: Layout, autapses: bool, dt: Seconds
) -> Synapses:
    loaded = load(weights) if isinstance(weights, File) else Loaded(weights.shape, numbers_of(weights, "the array"))
    late = ticks(delay, dt)
    if late.ndim:
        _delay_shape(late.shape, pre_size, loaded.values.shape if loaded.row is not None else loaded.shape)
    if connect == "one_to_one":
        kept = loaded.values if autapses else np.zeros_like(loaded.values)
        return synapses.one_to_one(kept, late)
    if loaded.row is not None and loaded.column is not None:
        pre, post = (loaded.column, loaded.row) if layout == "post_pre" else (loaded.row, loaded.column)
        kept = np.ones(pre.size, bool) if autapses else pre != post
        each = late if late.ndim == 0 else (late if late.shape == loaded.values.shape else late[pre])
        each = each[kept] if each.ndim else each
        return synapses.sparse(pre_size, post_size, pre[kept], post[kept], loaded.values[kept], each)
    matrix = loaded.values.T if layout == "post_pre" else loaded.values
    if late.ndim == 2 and layout == "post_pre":
        late = late.T
    if not autapses:
        matrix = matrix.copy()
        np.fill_diagonal(matrix, 0.0)
    return synapses.dense(np.ascontiguousarray(matrix), late)


def _planned(
    pre_size: int,
    post_size: int,
    connect: Any,
    weights: Any,
    layout: Layout,
    from_shape: tuple[int, ...],
    to_shape: tuple[int, ...],
) -> convolution.Plan:
    """How the windows of a convolution or pool lie, if everything fits."""
    if layout != "post_pre":
        raise ShapeError("layout", f"layout: {layout} for a kernel", "leave it out, and give [out, in, height, width]")
    kernel: tuple[int | None, ...] | None = None
    if isinstance(connect, SumPool | AvgPool):
        if weights is not None and not isinstance(weights, float | int | Constant):
            raise ShapeError("weights", "weights of a pool", "leave them out, or write one number")
    elif isinstance(weights, SpatialFields):
        kernel = weights.shape()
    elif isinstance(weights, File):
        header = shape_of(weights)
        if header.sparse:
            raise ShapeError("weights", f"{weights} is sparse", "write a kernel with numpy.save")
        kernel = header.shape
    elif isinstance(weights, np.ndarray):
        kernel = weights.shape
    return convolution.plan(connect, kernel, from_shape, pre_size, to_shape, post_size)


def _kernel(plan: convolution.Plan, connect: Any, weights: Any, seed: int, name: str | int) -> Floats:
    """The weights [out, in, height, width] of a plan; each is drawn once, by its place in the kernel."""
    if isinstance(weights, File):
        return load(weights).values
    if isinstance(weights, np.ndarray):
        return numbers_of(weights, "the array")
    if isinstance(weights, SpatialFields):
        return weights.kernel(plan.kernel[1])
    out, inner = np.divmod(np.arange(math.prod(plan.kernel)), math.prod(plan.kernel[1:]))
    drawn = _drawn(weights, inner, out, seed, name).reshape(plan.kernel)
    return drawn / math.prod(plan.kernel[2:]) if isinstance(connect, AvgPool) else drawn


def _pairs(connect: Any, pre_size: int, post_size: int, seed: int, name: str | int) -> tuple[Ints, Ints]:
    """Who is connected to whom, by presynaptic neuron; drawn by counters, so the same on every machine."""
    if connect == "all":
        pre, post = np.divmod(np.arange(pre_size * post_size), post_size)
        return pre, post
    of = noise.key(seed, name, "connect")
    if isinstance(connect, Probability):
        posts = np.arange(post_size)
        rows = [np.flatnonzero(noise.uniform(of, p, posts) < connect.probability) for p in range(pre_size)]
        pre = np.repeat(np.arange(pre_size), [row.size for row in rows])
        return pre, np.concatenate(rows) if rows else np.zeros(0, np.int64)
    if isinstance(connect, Indegree):
        post = np.repeat(np.arange(post_size), connect.indegree)
        pre = noise.integers(of, post, np.tile(np.arange(connect.indegree), post_size), pre_size)
        order = np.argsort(pre, kind="stable")
        return pre[order], post[order]
    pre = np.repeat(np.arange(pre_size), connect.outdegree)
    return pre, noise.integers(of, pre, np.tile(np.arange(connect.outdegree), pre_size), post_size)


def _drawn(weights: Any, pre: Ints, post: Ints, seed: int, name: str | int, repeated: bool = False) -> Floats:
    """One weight per synapse; the draw of a synapse depends on its neurons alone, and on which of several it is."""
    if weights is None:
        return np.ones(pre.size)
    if isinstance(weights, Constant | int | float):
        return np.full(pre.size, weights.constant if isinstance(weights, Constant) else float(weights))
    second = post.astype(np.uint64)
    if repeated:
        order = np.lexsort((post, pre))
        p, q = pre[order], post[order]
        new = np.ones(p.size, bool)
        new[1:] = (p[1:] != p[:-1]) | (q[1:] != q[:-1])
        place = np.arange(p.size)
        turn = np.empty(p.size, np.uint64)
        turn[order] = place - np.maximum.accumulate(np.where(new, place, 0))
        second = second + (turn << np.uint64(32))
    of = noise.key(seed, name, "weights")
    if isinstance(weights, Normal):
        drawn: Floats = weights.normal.mean + weights.normal.std * noise.normal(of, pre, second)
        return drawn
    low, high = weights.uniform.low, weights.uniform.high
    spread: Floats = low + (high - low) * noise.uniform(of, pre, second)
    return spread

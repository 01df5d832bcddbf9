"""Encoders on arrays, for notebooks and tests: the nodes that graphs run, without a graph."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from spikeflow.catalog import node_class
from spikeflow.errors import ParameterError, first_of, many, nearest
from spikeflow.events import Batch, Grid, Stream, Window, build, raw_columns
from spikeflow.machine import gigabytes, memory
from spikeflow.node import Context, Encoder, Node
from spikeflow.units import Seconds, format_ns, whole_ns

Array: TypeAlias = npt.NDArray[Any]

_KEYWORDS = ("dt", "ticks", "frame", "seed", "name")


def encode(
    kind: str | type[Encoder],
    values: npt.ArrayLike,
    *,
    dt: Seconds | str = "1 ms",
    ticks: int | None = None,
    frame: Seconds | str | None = None,
    seed: int = 0,
    name: str = "encoder",
    **parameters: Any,
) -> Array:
    """Encode an array, as a graph would encode a stream.

    Args:
        kind: the kind of a graph file, or the class.
        values: [n] values, each of which its channel holds from tick 0 on, or [ticks, n] a sample of each channel at
            each tick, where NaN is none. For encoders of spikes what is not zero is a spike.
        dt: length of a tick: seconds, or a text such as ``"1 ms"``.
        ticks: how many ticks to encode; unless given, the frame, or as many as `values` has: one, where it is [n].
        frame: begin anew at multiples of this time, as in a graph file; where an encoder cannot do without one, it is
            all ticks.
        seed, name: what random spikes depend on: a graph's seed, and the name of a node in it.
        parameters: those of the encoder, times as seconds or texts with their unit.

    Returns:
        [ticks, neurons]: where each neuron spikes, or, where spikes carry values, their sum in each tick. Where the
        encoder gives samples, [ticks, channels] of them, NaN where there is none.

    Raises:
        ParameterError: something does not fit, with what would.

    >>> import spikeflow
    >>> spikeflow.encode("constant_current_lif", [2.0, 4.0], ticks=8).astype(int).T
    array([[0, 0, 0, 0, 0, 0, 1, 0],
           [0, 0, 1, 0, 0, 1, 0, 0]])
    >>> spikeflow.encode("spatio_temporal", [0.0, 0.5, 1.0], ticks=5, t_late="4 ms").argmax(axis=0)
    array([0, 2, 4])
    >>> spikeflow.encode("population", [0.0, 2.0], centres=3, scale=2.0).round(2)
    array([[1.  , 0.37, 0.02, 0.02, 0.37, 1.  ]])
    """
    cls = node_class("encoder", kind)
    dt_ns = whole_ns(dt, "dt")
    array = _given(values)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise ParameterError(f"seed is {seed!r}", "give a whole number")
    fields = cls.model_fields
    frame_ns = None if frame is None else whole_ns(frame, "frame")
    if frame_ns is not None and "frame" not in fields:
        raise ParameterError(f"{kind} has no frames", "give ticks=, how many to encode")
    count = _ticks(array, ticks, frame_ns, dt_ns)
    if frame_ns is None and "frame" in fields and fields["frame"].is_required():
        frame_ns = count * dt_ns
    node = _made(cls, kind, parameters if frame_ns is None else {**parameters, "frame": frame_ns})
    stream, record = _stream(array, cls, Grid(0, dt_ns, count))
    return _encoded(node, stream, record, Grid(0, dt_ns, count), seed, name)


class _Still:
    """A clock that stands at the origin."""

    def now_ns(self) -> int:
        return 0

    async def sleep_until(self, t_ns: int) -> None:
        """Return at once."""


def _encoded(node: Encoder, stream: Stream, record: pa.RecordBatch, grid: Grid, seed: int, name: str) -> Array:
    """Step the node once, over everything."""
    node.__dict__["_name"] = name
    for problem in node.check([stream], grid):
        at = ".".join(map(str, problem.path))
        found = f"{at}: {problem.found}" if at else problem.found
        if not problem.warning:
            raise ParameterError(found, problem.hint)
        warnings.warn(f"{found} — {problem.hint}", stacklevel=3)
    outlet = node.outlets([stream])[""]
    need = float(grid.window_ticks) * outlet.size * (8 if outlet.double else 4)
    if need > memory():
        found = f"{many(grid.window_ticks, 'tick')} of {outlet.size} in an array, which takes {gigabytes(need)}"
        raise ParameterError(found, f"this machine has {gigabytes(memory())}; encode fewer at a time")
    node.bind(Context(name, grid, _Still(), (stream,), {"": outlet}, seed=seed))
    window = Window.at(grid, 0, grid.window_ticks, last=True)
    [batch] = node.step(window, [Batch.of(window, stream.schema(grid), record)])
    t_ns, index, value = raw_columns(batch.record)
    tick = grid.ticks(t_ns)
    shape = grid.window_ticks, outlet.size
    if outlet.kind == "samples":
        result: Array = np.full(shape, np.nan, np.float64 if outlet.double else np.float32)
        result[tick, index] = value
        return result
    if value is None:
        result = np.zeros(shape, np.bool_)
        result[tick, index] = True
        return result
    result = np.zeros(shape, np.float32)
    np.add.at(result, (tick, index), value)
    return result


def _given(values: npt.ArrayLike) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError("a masked array", "say what stands for what is masked, such as values.filled(np.nan)")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ParameterError("values is a list of rows of several lengths", "give an array of numbers") from None
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"values hold {array.dtype}", "give an array of numbers")
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ParameterError(f"values of shape {list(array.shape)}", "give [n] values, or [ticks, n]")
    return array


def _ticks(array: Array, ticks: int | None, frame_ns: int | None, dt_ns: int) -> int:
    """How many ticks there are."""
    rows = len(array) if array.ndim == 2 else 1
    if ticks is None:
        if frame_ns is not None and frame_ns % dt_ns:
            raise ParameterError(f"a frame of {format_ns(frame_ns)}", f"give a multiple of dt, {format_ns(dt_ns)}")
        return max(rows, 1, 0 if frame_ns is None or array.ndim == 2 else frame_ns // dt_ns)
    if not isinstance(ticks, int | np.integer) or isinstance(ticks, bool):
        raise ParameterError(f"ticks is {ticks!r}", "give a whole number")
    if ticks < max(1, rows):
        raise ParameterError(f"{many(ticks, 'tick')} for {many(rows, 'row')} of values", "give as many ticks, or more")
    return int(ticks)


def _stream(array: Array, cls: type[Node], grid: Grid) -> tuple[Stream, pa.RecordBatch]:
    """What arrives, as events: each row at its tick."""
    rows = np.atleast_2d(array)
    if "samples" in cls.takes:
        rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
        tick, index = np.nonzero(~np.isnan(rows))
        stream = Stream("values", "samples", rows.shape[1], double=rows.dtype == np.float64)
    else:
        tick, index = np.nonzero(rows)
        stream = Stream("values", "spikes", rows.shape[1], valued=rows.dtype != np.bool_)
    value = None if stream.kind == "spikes" and not stream.valued else rows[tick, index]
    with np.errstate(over="ignore"):  # a value of a spike that is too large to be finite, which counts as none
        return stream, build(stream.plain, tick * grid.dt_ns, index.astype(np.uint32), value)


def _made(cls: type[Node], kind: str | type[Encoder], parameters: dict[str, Any]) -> Encoder:
    """The node with its parameters; what only a graph has a use for is none of them."""
    known = [name for name in cls.model_fields if name not in Node.model_fields]
    for key, value in parameters.items():
        if key not in known:
            hint = nearest(key, [*known, *_KEYWORDS])
            raise cls.refused(key, value) or ParameterError(f"{cls.__name__} has no {key!r}", hint)
    try:
        made = cls(**parameters)
    except ValidationError as error:
        raise first_of(error) from None
    assert isinstance(made, Encoder)
    return made


__all__ = ["encode"]

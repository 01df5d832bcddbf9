"""Convolutions and pools as synapses: a spike reaches the few neurons whose windows its own neuron lies in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from spikeflow.errors import ParameterError
from spikeflow.kernels import synapses
from spikeflow.kernels.layout import CSR
from spikeflow.kernels.parameters import number
from spikeflow.kernels.synapses import Synapses

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]
Shape: TypeAlias = tuple[int, ...]


class ShapeError(ParameterError):
    """Shapes that do not fit each other; `key` is the key of the projection that has to change."""

    def __init__(self, key: str, found: str, hint: str) -> None:
        self.key = key
        super().__init__(found, hint)


# ---- what a graph file says


def _whole(value: Any, least: int) -> int | tuple[int, ...]:
    parts = [number(part) for part in (value if isinstance(value, list | tuple) else [value])]
    good = [isinstance(p, int | float) and not isinstance(p, bool) and p == int(p) and p >= least for p in parts]
    if not parts or len(parts) > 2 or not all(good):
        raise ParameterError(f"{value!r}", f"write a whole number of {least} or more, or two: [height, width]")
    whole = tuple(int(part) for part in parts)
    return whole if isinstance(value, list | tuple) else whole[0]


def _padding(value: Any) -> Any:
    return value if value in ("same", "valid") else _whole(value, 0)


def _schema(least: int, *words: str) -> WithJsonSchema:
    one = {"type": "integer", "minimum": least}
    choices: list[dict[str, Any]] = [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 2}]
    return WithJsonSchema({"anyOf": [*choices, {"enum": list(words)}] if words else choices})


Steps = Annotated[int | tuple[int, ...], PlainValidator(lambda value: _whole(value, 1)), _schema(1)]
"""A whole number of 1 or more for every axis, or one for each."""

Border = Annotated[int | tuple[int, ...], PlainValidator(lambda value: _whole(value, 0)), _schema(0)]
"""How many zeros are put around the input: one number, or one for each axis."""

Padding = Annotated[int | tuple[int, ...] | str, PlainValidator(_padding), _schema(0, "same", "valid")]
"""As `Border`; `same` keeps the input's shape, `valid` is none."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Windows(_Part):
    """The windows of a convolution."""

    stride: Steps = Field(1, description="how far one window is from the next")
    padding: Padding = Field(0, description="zeros around the input; `same` keeps its shape, `valid` is none")
    dilation: Steps = Field(1, description="how far the taps of the kernel are apart")
    groups: int = Field(1, ge=1, description="into how many parts the channels are split that do not see each other")
    kernel: Steps | None = Field(None, description="the kernel's height and width, where the weights do not say")


class Conv1d(_Part):
    """A convolution along one axis, of [channels, length]."""

    conv1d: Windows


class Conv2d(_Part):
    """A convolution along two axes, of [channels, height, width]."""

    conv2d: Windows


class Pool(_Part):
    """The windows of a pool; each channel is by itself."""

    kernel: Steps = Field(description="the window's height and width")
    stride: Steps | None = Field(None, description="how far one window is from the next; the kernel unless said")
    padding: Border = Field(0, description="zeros around the input, which an average counts")


class SumPool(_Part):
    """The sum of each window."""

    sum_pool: Pool


class AvgPool(_Part):
    """The mean of each window."""

    avg_pool: Pool


Windowed: TypeAlias = Conv1d | Conv2d | SumPool | AvgPool
KINDS: dict[str, type[_Part]] = {"conv1d": Conv1d, "conv2d": Conv2d, "sum_pool": SumPool, "avg_pool": AvgPool}
CONVOLUTIONS = ("conv1d", "conv2d")
"""Those whose options all have defaults, so that the plain word will do."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of `{name: …}`."""
    options = KINDS[name].model_fields[name].annotation
    assert options is not None
    inner = options.model_json_schema()
    return {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}


_AXES = {"conv1d": ("length",), "conv2d": ("height", "width")}
Outer: TypeAlias = tuple[int | None, ...]
"""The shape of a kernel [out, in / groups, height, width] as far as weights say it; None is to be derived."""


# ---- what it means for these shapes


@dataclass(frozen=True)
class Plan:
    """One convolution or pool of arrays of known shape.

    Attributes:
        given: the input, [channels, height, width] or [channels, length].
        found: the output, likewise.
        kernel: [out channels, in channels / groups, height, width] or [out, in / groups, length].
        before: zeros before the first element of each axis.
    """

    given: Shape
    found: Shape
    kernel: Shape
    groups: int
    stride: Shape
    dilation: Shape
    before: Shape


def windowed(connect: Any) -> bool:
    """Whether `connect` is a convolution or a pool."""
    return isinstance(connect, Conv1d | Conv2d | SumPool | AvgPool)


def plan(connect: Windowed, kernel: Outer | None, given: Shape, pre_size: int, to: Shape, post_size: int) -> Plan:
    """How the windows lie.

    Args:
        kernel: the shape of the weights as far as they say one.
        given: the shape of the input; empty where it is not known.
        to: the shape of the population; empty where it is a number.

    Raises:
        ShapeError: something does not fit; says what would.
    """
    (name,) = type(connect).model_fields
    options: Windows | Pool = getattr(connect, name)
    axes = _AXES.get(name, ("height", "width") if len(given) != 2 else ("length",))
    _fit_input(name, given, pre_size, axes)
    said = _each(options.kernel, len(axes), name, "kernel") if options.kernel is not None else None
    if isinstance(options, Pool):
        groups, kernel = given[0], (given[0], 1, *(said or ()))
    else:
        groups, kernel = options.groups, _kernel(name, options, kernel, said, given, axes)
    taps = tuple(k or 1 for k in kernel[2:])
    stride, dilation, before, windows = _windows(name, options, given, taps)
    outs = kernel[0]
    if outs is None:  # the population says how many
        outs = to[0] if len(to) == len(given) else max(1, post_size // math.prod(windows))
    found = (outs, *windows)
    if math.prod(found) != post_size or (len(to) > 1 and to != found):
        has = _list(to) if to else f"{post_size} neurons"
        what = f"connect: {name} from {_list(given)} gives {_list(found)}, the population has {has}"
        raise ShapeError("connect", what, f"write size: {_list(found)}")
    if outs % groups:
        hint = "make the output channels a multiple of the groups"
        raise ShapeError("connect", f"{outs} output channels in {groups} groups", hint)
    full = (outs, given[0] // groups, *taps)
    return Plan(given, found, full, groups, stride, dilation, before)


def _list(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('…' if part is None else str(part) for part in shape)}]"


def _fit_input(name: str, given: Shape, pre_size: int, axes: tuple[str, ...]) -> None:
    wanted = f"[channels, {', '.join(axes)}]"
    if not given:
        found = f"connect: {name} from {pre_size} neurons whose shape is not known"
        raise ShapeError("connect", found, f"write from_shape: {wanted} beside it, or size: {wanted} at the input")
    if math.prod(given) != pre_size:
        found = f"from_shape {_list(given)} is {math.prod(given)} neurons, the input has {pre_size}"
        raise ShapeError("from_shape", found, "make them agree")
    if len(given) != len(axes) + 1:
        hint = f"write from_shape: {_list((1, *given)) if len(given) == len(axes) else wanted}"
        raise ShapeError("connect", f"connect: {name} takes {wanted}, the input is {_list(given)}", hint)


def _kernel(
    name: str, options: Windows, kernel: Outer | None, said: Shape | None, given: Shape, axes: tuple[str, ...]
) -> Outer:
    """The shape of the kernel, from the weights or else from the option."""
    channels, groups = given[0], options.groups
    if channels % groups:
        raise ShapeError("connect", f"{channels} channels in {groups} groups", "take a divisor of the channels")
    if kernel is None:
        if said is None:
            found = f"connect: {name} does not know how large its kernel is"
            raise ShapeError("connect", found, f"write {{{name}: {{kernel: 3}}}}, or give the weights by a file")
        return (None, None, *said)
    shown, wanted = f"weights of shape {_list(kernel)}", f"give [out, {channels // groups}, {', '.join(axes)}]"
    if len(kernel) != len(axes) + 2:
        raise ShapeError("weights", f"{shown} for {name}", wanted)
    if 0 in kernel:
        raise ShapeError("weights", shown, "give one weight or more along every axis")
    if said is not None and kernel[2:] != said:
        raise ShapeError("connect", f"kernel {_list(said)}, but {shown}", "leave 'kernel' out")
    outs, inner = kernel[0], kernel[1]
    if inner is not None and inner * groups != channels:
        takes = f"{shown} take {inner * groups} channels" + (f" in {groups} groups" if groups > 1 else "")
        fitting, rest = divmod(channels, inner)
        hint = wanted if rest or (outs or 0) % fitting else f"{wanted}, or write groups: {fitting}"
        raise ShapeError("weights", f"{takes}, the input {_list(given)} has {channels}", hint)
    return kernel


def _each(value: int | Shape, axes: int, name: str, what: str) -> Shape:
    """The number of each axis."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        hint = "write one number" if axes == 1 else f"write one number, or {axes}"
        raise ShapeError("connect", f"connect: {name} has the {what} {_list(value)}", hint)
    return value


def _windows(name: str, options: Windows | Pool, given: Shape, taps: Shape) -> tuple[Shape, Shape, Shape, Shape]:
    """Stride, dilation, zeros before, and how many windows there are, of each axis."""
    axes = len(taps)
    dilation = (1,) * axes if isinstance(options, Pool) else _each(options.dilation, axes, name, "dilation")
    stride = taps if options.stride is None else _each(options.stride, axes, name, "stride")
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, taps, strict=True))
    if isinstance(options.padding, str):
        both = tuple(span - 1 if options.padding == "same" else 0 for span in spans)
        if any(both) and max(stride) > 1:
            raise ShapeError("connect", f"padding: same with stride {_list(stride)}", "write the padding as a number")
        before = tuple(total // 2 for total in both)
    else:
        before = _each(options.padding, axes, name, "padding")
        both = tuple(2 * one for one in before)
    room = tuple(n + p for n, p in zip(given[1:], both, strict=True))
    if any(span > width for span, width in zip(spans, room, strict=True)):
        wide = _list(taps) + (f" with dilation {_list(dilation)}" if max(dilation) > 1 else "")
        padded = _list(given[1:]) + (f", {_list(room)} with its padding" if any(both) else "")
        raise ShapeError(
            "connect", f"a kernel of {wide} on an input of {padded}", "take a smaller one, or more padding"
        )
    return stride, dilation, before, tuple((r - s) // n + 1 for r, s, n in zip(room, spans, stride, strict=True))


# ---- the synapses


def connected(of: Plan, kernel: Floats, late: Ints, autapses: bool = True) -> Synapses:
    """The synapses of a plan.

    Args:
        kernel: [out, in / groups, height, width] or [out, in / groups, length]; cross-correlated, as in PyTorch.
        late: the delay in ticks, or [pre] of them.
        autapses: False leaves out synapses from a neuron to the one with its own number.
    """
    pre_size, post_size = math.prod(of.given), math.prod(of.found)
    count, post, tap = _reached(of)
    channels, size = of.given[0], post.size
    in_group, out_group = channels // of.groups, of.kernel[0] // of.groups
    # of one input channel: from each place, output channel by output channel, the windows that it lies in
    first = np.cumsum(count) - count
    length = count * out_group
    place = np.repeat(np.arange(count.size), length)
    within = np.arange(size * out_group) - np.repeat(np.cumsum(length) - length, length)
    out, turn = np.divmod(within, np.maximum(count, 1)[place])
    at = first[place] + turn
    reached = out * math.prod(of.found[1:]) + post[at]
    taps = kernel.reshape(of.kernel[0], in_group, -1)
    posts = np.empty((channels, reached.size), np.int32)
    weights = np.empty((channels, reached.size), kernel.dtype)
    for channel in range(channels):
        group, inner = divmod(channel, in_group)
        posts[channel] = reached + group * out_group * math.prod(of.found[1:])
        weights[channel] = taps[group * out_group : (group + 1) * out_group, inner][out, tap[at]]
    start = np.zeros(pre_size + 1, np.int64)
    np.cumsum(np.tile(length, channels), out=start[1:])
    if late.ndim == 0 and autapses:
        return Synapses(pre_size, post_size, CSR, weights.ravel(), late.reshape(1), start=start, post=posts.ravel())
    pre = np.repeat(np.arange(pre_size), np.diff(start))
    kept = np.ones(pre.size, bool) if autapses else pre != posts.ravel()
    each = late[pre][kept] if late.ndim else late
    return synapses.sparse(pre_size, post_size, pre[kept], posts.ravel()[kept], weights.ravel()[kept], each)


def _reached(of: Plan) -> tuple[Ints, Ints, Ints]:
    """For the places of one input channel: how many windows each lies in; which, ascending; and under which tap."""
    pre = post = tap = np.zeros(1, np.int64)
    for size, windows, taps, stride, dilation, before in zip(
        of.given[1:], of.found[1:], of.kernel[2:], of.stride, of.dilation, of.before, strict=True
    ):
        window, under = np.divmod(np.arange(windows * taps), taps)
        where = window * stride + under * dilation - before
        inside = (where >= 0) & (where < size)
        where, window, under = where[inside], window[inside], under[inside]
        pre = (pre[:, None] * size + where).ravel()
        post = (post[:, None] * windows + window).ravel()
        tap = (tap[:, None] * taps + under).ravel()
    order = np.lexsort((post, pre))
    return np.bincount(pre, minlength=math.prod(of.given[1:])), post[order], tap[order]

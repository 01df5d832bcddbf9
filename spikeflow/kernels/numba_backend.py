"""The CPU backend: one generated source file per program, in the user's cache folder, compiled by Numba once.

A loop that closes over `update` is never cached, and one that imports it would serve the old equation after an edit. So
the file holds everything, equations included, and is named by a hash of its text and of what compiles it.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType

import numpy as np

from spikeflow.kernels import numba_text, vocabulary
from spikeflow.kernels.layout import ARGUMENTS, CODES
from spikeflow.kernels.model import Form
from spikeflow.kernels.network import Program, Run

_HELPERS = (
    "check",
    "drop_old",
    "begin",
    "full",
    "sift",
    "deliver",
    "quiet",
    "keep",
    "same",
    "silent",
    "wake",
    "spike",
    "record",
    "mixed",
    "draw",
    "uniform32",
    "uniform64",
)
_SHARED = ("flush", "hold", "count_down")
_TYPES = {
    "table": "int64", "real32": "float32", "real64": "float64", "weight32": "float32", "weight64": "float64",
    "post": "int32", "start": "int64", "time": "int64", "index": "uint32", "value": "float64", "held": "float64",
    "rest": "uint8", "recorded": "float64", "mask": "uint8", "words": "uint64",
}  # fmt: skip
_OPENING = '''\
"""Written by spikeflow {version}, {what}. It is made anew when it is missing."""
'''
_HELPERS_HEAD = """\
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_njit = njit(error_model="numpy", cache=True)


@intrinsic
def trailing_zeros(typing, word):
    def emit(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), emit

"""
_WORDS = """\
import math

import numpy as np
from numba import njit

from {helpers} import {names}

_njit = njit(error_model="numpy")
_inlined = njit(error_model="numpy", inline="always")


@_inlined
def where(flag, yes, no):
    return yes if flag else no


@_inlined
def minimum(a, b):
    return a if (a < b) | (a != a) else b


@_inlined
def maximum(a, b):
    return a if (a > b) | (a != a) else b


@_inlined
def exp(x):
    return math.exp(x)

"""
_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}


def prepare(program: Program) -> Run:
    """The compiled loop of `program`: from the cache folder, else compiled now and kept there."""
    load(helpers_text())
    run: Run = load(text(program)).run
    return run


def helpers_text() -> str:
    """The source file of what all programs share; apart from theirs, so that it is compiled once."""
    parts = [_OPENING.format(version=_version(), what="what all fused loops share"), _HELPERS_HEAD, _codes()]
    parts.append(f"MIX_1, MIX_2, STRIDE = {numba_text.MIX_1}, {numba_text.MIX_2}, {numba_text.STRIDE}\n")
    return "\n\n".join([*parts, *(_plain(getattr(numba_text, name), "_njit") for name in _HELPERS)])


def text(program: Program) -> str:
    """The source file of a program; the name of the helpers' file, which it holds, changes with their text."""
    parts = [_OPENING.format(version=_version(), what="a fused loop over ticks")]
    parts.append(_WORDS.format(helpers=named(helpers_text()), names=", ".join(_HELPERS)))
    parts.append(_codes())
    parts += [_plain(getattr(vocabulary, name), "_inlined") for name in _SHARED]
    for number, (form, precision) in enumerate(program.forms):
        parts.append(_equations(form, number))
        parts.append(_sweep(form, number, 32 if precision == "float32" else 64))
        parts.append(_step(form, number))
    parts.append(_run(program))
    return "\n\n".join(parts)


def _codes() -> str:
    sizes = {name: getattr(numba_text, name) for name in ("N_SOURCE", "N_PROJECTION", "N_RECORD")}
    return "\n".join(f"{name} = {number}" for name, number in {**CODES, **sizes}.items())


def _version() -> str:
    try:
        return importlib.metadata.version("spikeflow")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout"


def _plain(function: object, decorator: str) -> str:
    """A function's source without docstring and annotations, decorated."""
    tree = ast.parse(inspect.getsource(function)).body[0]  # type: ignore[arg-type]
    assert isinstance(tree, ast.FunctionDef)
    tree.returns = None
    for argument in tree.args.args:
        argument.annotation = None
    tree.body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    return f"@{decorator}\n{ast.unparse(tree)}\n"


def _equations(form: Form, number: int) -> str:
    return f"@_inlined\n{form.text.replace('def update(', f'def update_{number}(', 1)}\n"


def _sweep(form: Form, number: int, bits: int) -> str:
    """The equations over every tile, and which neurons spike: no branches, so that it becomes vector code."""
    states, inputs, noise = form.states, form.receptors, form.noise
    taken = [argument.arg for argument in form.update.args.args[len(form.moved) + len(inputs) + len(noise) :]]
    given = {name: len(states) + len(inputs) + k for k, name in enumerate(form.rows)}
    height = len(states) + len(inputs) + len(form.rows)
    arguments = [
        *form.moved,
        *[f"a_{name}" for name in inputs],
        *[f"n_{name}" for name in noise],
        *[f"r_{name}" if name in form.rows else f"c_{name}" for name in taken],
    ]
    results = [f"new_{name}" for name in form.moved] + (["spiked"] if form.spikes else [])
    body = [f"{name} = x[{row} * TILE + k]" for row, name in enumerate(states)]
    body += [f"a_{name} = x[{len(states) + k} * TILE + k]" for k, name in enumerate(inputs)]
    body += [f"r_{name} = x[{row} * TILE + k]" for name, row in given.items()]
    body += [f"n_{name} = uniform{bits}(key_{name}, tile * TILE + k, tick)" for name in noise]
    body += [f"x[{len(states) + k} * TILE + k] = c_zero" for k in range(len(inputs))]
    body += [f"({', '.join(results)},) = update_{number}({', '.join(arguments)})"]
    if form.refracts:
        reset = "r_rho_reset" if "rho_reset" in form.rows else "c_rho_reset"
        body += [
            "free = rho <= c_zero",
            "spiked = spiked & free",
            *[f"new_{name} = hold(free, {name}, new_{name})" for name in form.held],
            f"new_rho = count_down(rho, free, spiked, {reset}, c_one, c_zero)",
        ]
    body += [f"x[{row} * TILE + k] = flush(new_{name}, c_tiny, c_zero)" for row, name in enumerate(states)]
    if form.spikes:
        body += ["m[k] = spiked"]
    return "\n".join([
        "@_njit",
        f"def sweep_{number}(table, real, mask, g, tile, last):",
        "    base, stride, tick = table[g + G_BASE], table[g + G_ROWS] * TILE, table[H_TICK]",
        "    c, first = table[g + G_CONSTANT], table[g + G_REST] * TILE",
        *[f"    c_{name} = real[c + {k}]" for k, name in enumerate(form.constants) if name not in form.rows],
        *[f"    key_{name} = np.uint64(table[table[g + G_KEY] + {k}])" for k, name in enumerate(noise)],
        "    for tile in range(tile, last):",
        f"        x = real[base + tile * stride : base + tile * stride + {height} * TILE]",
        "        m = mask[first + tile * TILE : first + tile * TILE + TILE]",
        "        for k in range(TILE):",
        *[f"            {line}" for line in body],
    ]) + "\n"  # fmt: skip


_STEP = """\
@_njit
def step_{n}(table, real, weight, post, start, time, index, value, held, rest, recorded, mask, words, place):
    g = table[H_GROUP] + place * {group}
    base, tiles, stride = table[g + G_BASE], table[g + G_TILES], table[g + G_ROWS] * TILE
    tick, resting, first_rest = table[H_TICK], table[g + G_RESTING], table[g + G_REST]
    arrived = 0
    for k in range(table[g + G_LIST], table[g + G_LIST] + table[g + G_LISTED]):
        p = table[H_PROJECTION] + table[k] * N_PROJECTION
        arrived += deliver(table, real, weight, post, start, time, index, value, held, p, base, stride, tiles)
    if resting > 0 and arrived > 0:
        resting -= wake(real, rest, base + {states} * TILE, stride, first_rest, tiles, {inputs})
    if {looks} and tick % 16 == 0 and table[H_SKIP] != 0 and resting < tiles:
        for tile in range(tiles):
            if rest[first_rest + tile] == 0:
                at = base + tile * stride
                calm = quiet(real, at + {states} * TILE, {inputs})
                keep(real, at, {states})
                sweep_{n}(table, real, mask, g, tile, tile + 1)
                if calm and same(real, at, {states}) and silent(words, first_rest + tile):
                    rest[first_rest + tile] = 1
                    resting += 1
    elif resting == 0:
        sweep_{n}(table, real, mask, g, np.int64(0), tiles)
    elif resting < tiles:
        for tile in range(tiles):
            if rest[first_rest + tile] == 0:
                sweep_{n}(table, real, mask, g, tile, tile + 1)
    if {spikes} and resting < tiles:
        spike(table, time, index, words, table[H_SOURCE] + place * N_SOURCE, first_rest * 8, tiles)
    table[g + G_RESTING] = resting
    if table[H_RECORDS] > 0:
        record(table, real, post, recorded, place, base, stride)
"""


def _step(form: Form, number: int) -> str:
    """One tick of one population: what arrives, the equations, the spikes in order, what has come to rest."""
    return _STEP.format(
        n=number, group=CODES["GROUP"], states=len(form.states), inputs=len(form.receptors), spikes=form.spikes,
        looks=not form.noise,
    )  # fmt: skip


def _run(program: Program) -> str:
    """The loop over ticks and populations: the one function that is called from outside."""
    signature = "void(" + ", ".join(f"{_TYPES[name]}[::1]" for name in ARGUMENTS) + ")"
    lines = [
        f'@njit("{signature}", cache=True, nogil=True, error_model="numpy")',
        f"def run({', '.join(ARGUMENTS)}):",
        "    if table[H_FRESH] != 0:",
        "        if not begin(table, time, index, value):",
        "            return",
        "    while table[H_TICK] < table[H_STOP]:",
        "        if full(table):",
        "            return",
        "        for k in range(table[H_GROUPS]):",
        "            place = table[table[H_ORDER] + k]",
        f"            form = table[table[H_GROUP] + place * {CODES['GROUP']} + G_FORM]",
    ]
    rest = "post, start, time, index, value, held, rest, recorded, mask, words, place"
    for number, (_, precision) in enumerate(program.forms):
        bits = 32 if precision == "float32" else 64
        lines += [
            f"            {'if' if number == 0 else 'elif'} form == {number}:",
            f"                step_{number}(table, real{bits}, weight{bits}, {rest})",
        ]
    return "\n".join([*lines, "        table[H_TICK] += 1\n"])


def cache_folder() -> Path:
    """Where compiled loops are kept: $SPIKEFLOW_CACHE, else spikeflow in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("SPIKEFLOW_CACHE"):
        return Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "spikeflow"


def load(source: str) -> ModuleType:
    """The module of a generated source file, compiled or taken from the cache."""
    name = named(source)
    with _lock:
        if name not in _loaded:
            _loaded[name] = _import(_written(name, source), name)
        return _loaded[name]


def named(source: str) -> str:
    """The name of a generated file: it changes with the text and with everything that compiles it."""
    import llvmlite
    import numba

    cpu = llvmlite.binding.get_host_cpu_name()
    made_by = (numba.__version__, llvmlite.__version__, np.__version__, sys.version, cpu, source)
    return "loop_" + hashlib.sha256("\n".join(made_by).encode()).hexdigest()[:24]


def _written(name: str, source: str) -> Path:
    """The file with this source; several processes may write it at once."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder / f"{name}.py", source)
    except OSError:  # no home, or one that cannot be written: it is compiled again in each process
        return _write(Path(tempfile.mkdtemp(prefix="spikeflow-")) / f"{name}.py", source)


def _write(path: Path, source: str) -> Path:
    if path.exists():
        return path
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(source)
    # a link, because it fails where another process was first: Numba's cache goes by the file's time of change
    with contextlib.suppress(FileExistsError):
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:
            Path(temporary).replace(path)
    Path(temporary).unlink(missing_ok=True)
    return path


def _import(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba's cache looks the module up by its name
    spec.loader.exec_module(module)
    return module

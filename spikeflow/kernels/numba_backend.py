"""The CPU backend: one generated source file per program, in the user's cache folder, compiled by Numba once.

A loop that closes over `update` is never cached, and one that imports it would serve the old equation after an edit. So
the file holds everything, equations included, and is named by a hash of its text and of what compiles it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from spikeflow.kernels import numba_arrivals, numba_text, numba_words, vocabulary
from spikeflow.kernels.layout import ARGUMENTS, CODES, Arrays
from spikeflow.kernels.model import Form
from spikeflow.kernels.numba_equations import learn_text, settle_text, sweep_text
from spikeflow.kernels.parts import Bind, Precision, Program
from spikeflow.kernels.rule import RuleForm

_LOOP = ("check", "drop_old", "begin", "lose")
_GROUP = (
    "plain", "bounds", "add_up", "bulk", "sift", "spread", "deliver", "couple", "lose", "first_lost", "quiet", "keep",
    "same", "wake", "count", "spikes", "record", "part", "group",
)  # fmt: skip
_NOISE = ("mixed", "draw", "uniform32", "uniform64")
_TYPES = {
    "table": "int64", "real32": "float32", "real64": "float64", "weight32": "float32", "weight64": "float64",
    "post": "int32", "start": "int64", "time": "int64", "index": "uint32", "value": "float64", "held": "float64",
    "rest": "uint8", "recorded": "float64", "mask": "uint8", "words": "uint64",
}  # fmt: skip
_PER_FORM = 3
"""Numbers per form behind the addresses of the arrays: a tick, the equations, and whether tiles may rest."""
_HEAD = '''\
"""Written by spikeflow {version}, {what}. It is made anew when it is missing."""

import math

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

# functions within this file are called from this file only
_njit = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
'''
_INTRINSICS = """\
def _pointers(kind):
    @intrinsic
    def pointer(typing, address):
        def emit(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), emit

    return pointer


int64s, int32s, uint32s, uint8s, uint64s, float32s, float64s = [
    _pointers(getattr(types, name)) for name in "int64 int32 uint32 uint8 uint64 float32 float64".split()
]


@intrinsic
def onward(typing, array, first):
    def emit(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return array(array, types.int64), emit


@intrinsic
def ahead(typing, array, place):
    def emit(context, builder, signature, arguments):
        byte = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), ir.IntType(8).as_pointer())
        numbers = [ir.Constant(ir.IntType(32), number) for number in (0, 3, 1)]  # to read, into the nearest cache, data
        kind = ir.FunctionType(ir.VoidType(), [byte.type] + [number.type for number in numbers])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte.type], kind)
        for line in range(2):
            builder.call(fetch, [builder.gep(byte, [ir.Constant(ir.IntType(64), 64 * line)]), *numbers])
        return context.get_dummy_value()

    return types.void(array, types.int64), emit


@intrinsic
def like(typing, array, number):
    def emit(context, builder, signature, arguments):
        return context.cast(builder, arguments[1], number, array.dtype)

    return array.dtype(array, number), emit


@intrinsic
def bits_of(typing, array, place):
    def emit(context, builder, signature, arguments):
        loaded = builder.load(builder.gep(arguments[0], [arguments[1]]))
        return builder.bitcast(loaded, ir.IntType(array.dtype.bitwidth))

    return (types.int32 if array.dtype.bitwidth == 32 else types.int64)(array, types.int64), emit


@intrinsic
def where(typing, flag, yes, no):
    kind = typing.unify_types(types.unliteral(yes), types.unliteral(no))

    def emit(context, builder, signature, arguments):
        return builder.select(*arguments)

    return kind(types.boolean, kind, kind), emit


@intrinsic
def which_of(typing, mask, first):
    def emit(context, builder, signature, arguments):
        lanes = ir.VectorType(ir.IntType(8), 64)
        place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), lanes.as_pointer())
        found = builder.icmp_unsigned("!=", builder.load(place, align=1), ir.Constant(lanes, None))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(mask, types.int64), emit


@intrinsic
def trailing_zeros(typing, word):
    def emit(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), emit


@intrinsic
def ones(typing, word):
    def emit(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


def _caller(*kinds, result=types.none):
    def call(typing, function, *given):
        def emit(context, builder, signature, arguments):
            returned = ir.VoidType() if result is types.none else ir.IntType(64)
            kind = ir.FunctionType(returned, [argument.type for argument in arguments[1:]])
            found = builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
            return context.get_dummy_value() if result is types.none else found

        return result(types.int64, *[kind or given[k] for k, kind in enumerate(kinds)]), emit

    return call


@intrinsic
def sweep(typing, function, table, real, mask, g, first, last):
    return _caller(None, None, None, types.int64, types.int64, types.int64)(
        typing, function, table, real, mask, g, first, last
    )


@intrinsic
def learn(typing, function, addresses, l):
    return _caller(types.int64, types.int64, result=types.int64)(typing, function, addresses, l)


@intrinsic
def tick(typing, function, addresses, place, equations, looks, span):
    return _caller(types.int64, types.int64, types.int64, types.int64, types.int64)(
        typing, function, addresses, place, equations, looks, span
    )
"""
_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}


def prepare(program: Program) -> Bind:
    """The compiled loop of `program`: from the cache folder, else compiled now and kept there.

    It is three kinds of functions that call each other by address, so that a new model costs the compiling of its
    equations alone, and nothing is compiled twice to be put into something else.
    """
    run = load(loop_text()).run
    behind: list[int] = []
    for form, precision in program.forms:
        tick, sweep = load(group_text(precision)).tick, load(text(form, precision)).sweep
        behind += [tick.address, sweep.address, int(not form.restless)]
    behind += [load(learning_text(rule, precision)).learn.address for rule, precision in program.rules]

    def bind(arrays: Arrays) -> Callable[[], None]:
        table = np.array([getattr(arrays, name).ctypes.data for name in ARGUMENTS] + behind, np.int64)
        return functools.partial(run, table)

    return bind


def loop_text() -> str:
    """The source file of the loop over ticks and populations, which all programs share."""
    opened = ("table", "time", "index", "value")
    lines = [
        '@njit("void(int64[::1])", cache=True, nogil=True, error_model="numpy")',
        "def run(numbers):",
        "    place = numbers.ctypes.data",
        "    addresses = int64s(place)",
        *_opened(opened, 32),
        "    if table[H_FRESH] != 0:",
        "        if not begin(table, time, index, value):",
        "            return",
        "    while table[H_TICK] < table[H_PAUSE]:",
        "        span = min(table[H_SPAN], table[H_PAUSE] - table[H_TICK])",
        "        if table[H_AT] == 0 and table[H_FOUND] < 0:",
        "            table[H_END] = table[H_TICK] + span",
        "        while table[H_AT] < table[H_GROUPS]:",
        "            group = table[table[H_ORDER] + table[H_AT]]",
        f"            form = {len(ARGUMENTS)} + {_PER_FORM} * table[table[H_GROUP] + group * N_GROUP + G_FORM]",
        "            tick(addresses[form], place, group, addresses[form + 1], addresses[form + 2], span)",
        "            if table[H_STATUS] == FULL:",
        "                return",
        "            table[H_AT] += 1",
        "        table[H_AT] = 0",
        "        for k in range(table[H_LEARNINGS]):",
        "            l = table[H_LEARNING] + k * N_LEARNING",
        "            if table[H_TICK] < table[l + L_UNTIL]:",
        f"                rule = {len(ARGUMENTS)} + {_PER_FORM} * table[H_FORMS] + table[l + L_RULE]",
        "                if learn(addresses[rule], place, l) != 0:",
        "                    lose(table, table[H_GROUPS] + k, np.int64(-1))",
        "        if table[H_STATUS] != 0:",
        "            table[H_TICK] = table[H_END] - 1",
        "            return",
        "        table[H_TICK] += span\n",
    ]
    return _file("the loop over ticks", [*_functions(_LOOP), "\n".join(lines)])


def group_text(precision: Precision) -> str:
    """The source file of what a tick of a population is beside its equations, which all populations share."""
    arguments = ["table", "real", "weight", "post", "start", "time", "index", "value", "held", "rest", "recorded"]
    arguments += ["mask", "words"]
    lines = [
        '@cfunc("void(int64, int64, int64, int64, int64)", cache=True, error_model="numpy", _nrt=False)',
        "def tick(addresses, place, equations, looks, span):",
        "    addresses = int64s(addresses)",
        *_opened(arguments, 32 if precision == "float32" else 64),
        f"    group({', '.join(arguments)}, place, equations, looks != 0, span)\n",
    ]
    return _file(f"a tick of {precision} populations", [settle_text(), *_functions(_GROUP), "\n".join(lines)])


def text(form: Form, precision: Precision) -> str:
    """The source file of a model's equations."""
    bits = 32 if precision == "float32" else 64
    return _file(f"the equations of {form.name}", [*_functions(_NOISE if form.noise else ()), sweep_text(form, bits)])


def learning_text(rule: RuleForm, precision: Precision) -> str:
    """The source file of a learning rule's equations."""
    bits = 32 if precision == "float32" else 64
    opened = _opened(["table", "real", "weight", "post", "start"], bits)
    functions = _functions(("quiet", "busy"))
    return _file(f"the learning rule {rule.name}", [*functions, learn_text(rule, opened)])


def _file(what: str, parts: Sequence[str]) -> str:
    return "\n\n".join([_HEAD.format(version=_version(), what=what), _INTRINSICS, _codes(), *parts])


def _opened(names: Sequence[str], bits: int) -> list[str]:
    """Lines that make pointers of addresses; `real` and `weight` are those of the precision."""
    known = {name: f"{name}{bits}" if name in ("real", "weight") else name for name in names}
    return [f"    {n} = {_TYPES[full]}s(addresses[{ARGUMENTS.index(full)}])" for n, full in known.items()]


def _codes() -> str:
    named = (
        "N_GROUP",
        "N_SOURCE",
        "N_PROJECTION",
        "N_RECORD",
        "N_LEARNING",
        "AHEAD",
        "SPARE",
        "MIX_1",
        "MIX_2",
        "STRIDE",
    )
    codes = {**CODES, "FLUSH_EVERY": vocabulary.FLUSH_EVERY, **{name: getattr(numba_words, name) for name in named}}
    return "\n".join(f"{name} = {number}" for name, number in codes.items())


def _functions(names: Sequence[str]) -> list[str]:
    return [_plain(getattr(numba_arrivals, name, None) or getattr(numba_text, name)) for name in names]


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("spikeflow")
    except importlib.metadata.PackageNotFoundError:
        return "from a checkout"


@functools.cache  # the text is made anew for every network
def _plain(function: object) -> str:
    """A function's source without docstring and annotations, decorated."""
    tree = ast.parse(inspect.getsource(function)).body[0]  # type: ignore[arg-type]
    assert isinstance(tree, ast.FunctionDef)
    tree.returns = None
    for argument in tree.args.args:
        argument.annotation = None
    tree.body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    return f"@_njit\n{ast.unparse(tree)}\n"


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
        return _write(Path(_scratch().name) / f"{name}.py", source)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process, which goes with it."""
    return tempfile.TemporaryDirectory(prefix="spikeflow-", ignore_cleanup_errors=True)


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

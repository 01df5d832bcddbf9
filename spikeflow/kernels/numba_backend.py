"""The CPU backend: the text of one loop for all models, which Numba compiles and `machine_code` keeps."""

from __future__ import annotations

import ast
import ctypes
import functools
import inspect
import os
from collections.abc import Callable, Sequence

from spikeflow.kernels import numba_arrivals, numba_handed, numba_text, numba_words, vocabulary
from spikeflow.kernels.layout import ARGUMENTS, CODES, Arrays
from spikeflow.kernels.machine_code import address
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
    "weight16": "uint16",
    "post": "int32", "start": "int64", "time": "int64", "index": "uint32", "value": "float64", "held": "float64",
    "rest": "uint8", "recorded": "float64", "mask": "uint8", "words": "uint64",
}  # fmt: skip
_PER_FORM = 3
"""Numbers per form behind the addresses of the arrays: a tick, the equations, and whether tiles may rest."""
_HEAD = '''\
"""{what}."""

from __future__ import annotations

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


int64s, int32s, uint32s, uint16s, uint8s, uint64s, float32s, float64s = [
    _pointers(getattr(types, name)) for name in "int64 int32 uint32 uint16 uint8 uint64 float32 float64".split()
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


def _widened(builder, bits):
    word, number = ir.IntType(32), ir.FloatType()
    if HAS_HALF:
        return builder.fpext(builder.bitcast(bits, ir.HalfType()), number)
    wide = builder.zext(bits, word)
    sign, rest = (builder.and_(wide, ir.Constant(word, mask)) for mask in (0x8000, 0x7FFF))
    normal = builder.add(builder.shl(rest, ir.Constant(word, 13)), ir.Constant(word, 112 << 23))
    small = builder.fmul(builder.sitofp(rest, number), ir.Constant(number, 2.0**-24))
    small = builder.bitcast(small, word)
    found = builder.select(builder.icmp_unsigned("<", rest, ir.Constant(word, 1 << 10)), small, normal)
    return builder.bitcast(builder.or_(found, builder.shl(sign, ir.Constant(word, 16))), number)


@intrinsic
def weighed(typing, real, weight, place):
    def emit(context, builder, signature, arguments):
        found = builder.load(builder.gep(arguments[1], [arguments[2]]))
        if weight.dtype != types.uint16:
            return found
        found = _widened(builder, found)
        return found if real.dtype == types.float32 else builder.fpext(found, ir.DoubleType())

    return real.dtype(real, weight, types.int64), emit


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
def give_back(typing, release, structure):
    return _caller(types.int64)(typing, release, structure)


@intrinsic
def learn(typing, function, addresses, l):
    return _caller(types.int64, types.int64, result=types.int64)(typing, function, addresses, l)


@intrinsic
def tick(typing, function, addresses, place, equations, looks, span):
    return _caller(types.int64, types.int64, types.int64, types.int64, types.int64)(
        typing, function, addresses, place, equations, looks, span
    )
"""


def prepare(program: Program) -> Bind:
    """The compiled loop of `program`, made now or kept from before.

    It is three kinds of functions that call each other by address, so that a new model costs the compiling of its
    equations alone, and nothing is compiled twice to be put into something else.
    """
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address(loop_text(), "run"))  # others run meanwhile
    precisions = {precision for _, precision in program.forms}
    ticks = {precision: address(group_text(precision, program.halves), "tick") for precision in precisions}
    behind: list[int] = []
    for form, precision in program.forms:
        behind += [ticks[precision], address(text(form, precision), "sweep"), int(not form.restless)]
    behind += [address(learning_text(rule, precision), "learn") for rule, precision in program.rules]

    def bind(arrays: Arrays) -> Callable[[], None]:
        places = [getattr(arrays, name).ctypes.data for name in ARGUMENTS] + behind
        return functools.partial(run, (ctypes.c_int64 * len(places))(*places))

    return bind


def loop_text() -> str:
    """The source file of the loop over ticks and populations, which all programs share."""
    opened = ("table", "time", "index", "value")
    lines = [
        '@cfunc("void(int64)", error_model="numpy", _nrt=False)',
        "def run(place):",
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


def group_text(precision: Precision, halves: bool = False) -> str:
    """The source file of what a tick of a population is beside its equations, which all populations share.

    With `halves` some weights are stored as float16: it costs half as much compiling again.
    """
    arguments = ["table", "real", "weight", "weight16", "post", "start", "time", "index", "value", "held", "rest"]
    arguments += ["recorded", "mask", "words"]
    lines = [
        '@cfunc("void(int64, int64, int64, int64, int64)", error_model="numpy", _nrt=False)',
        "def tick(addresses, place, equations, looks, span):",
        "    addresses = int64s(addresses)",
        *_opened(arguments, 32 if precision == "float32" else 64),
        f"    group({', '.join(arguments)}, place, equations, looks != 0, span)\n",
    ]
    parts = [f"HAS_HALF = {has_half()}", *_functions(("half",))] if halves else []
    parts += [settle_text(), *_functions(_GROUP, halves), "\n".join(lines)]
    return _file(f"a tick of {precision} populations", parts)


def handing_text() -> str:
    """The source file of what copies exported events."""
    head = '@cfunc("int64(int64)", error_model="numpy", _nrt=False)'
    entry = "\n".join((head, "def hand_over(given):", "    return hand(int64s(given))\n"))
    codes = "\n".join(f"{name} = {number}" for name, number in vars(numba_handed).items() if type(number) is int)
    return _file("events that are handed over", [codes, *_functions(("filled", "copied", "hand")), entry])


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
    return "\n\n".join([_HEAD.format(what=what), _INTRINSICS, _codes(), *parts])


@functools.cache
def has_half() -> bool:
    """Whether the processor has an instruction that widens float16; else it is done by hand, at twice the time."""
    import llvmlite.binding as llvm

    if os.environ.get("NUMBA_CPU_NAME") or os.environ.get("NUMBA_CPU_FEATURES"):  # compiled for another processor
        return False
    found = llvm.get_host_cpu_features()
    return bool(found.get("f16c", "sse2" not in found))


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


def _functions(names: Sequence[str], halves: bool = True) -> list[str]:
    """The texts of functions; without `halves`, without what is done where `half(…)` holds."""
    known = _texts()
    return [f"@_njit\n{known[name] if halves else _whole(known[name])}\n" for name in names]


@functools.cache
def _whole(text: str) -> str:
    return ast.unparse(_Whole().visit(ast.parse(text))) if "half(" in text else text


class _Whole(ast.NodeTransformer):
    """Takes out what is done where `half(…)` holds."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        match node.test:
            case ast.Call(func=ast.Name(id="half")):
                return node.orelse
        return node


@functools.cache  # the text is made anew for every network
def _texts() -> dict[str, str]:
    """The text of each function that the loop is made of, by name."""
    found = {}
    for module in (numba_text, numba_arrivals, numba_handed):
        text = inspect.getsource(module)
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):  # `inspect` would look for its end word by word
                found[node.name] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found

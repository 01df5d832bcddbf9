"""The CUDA text of a network: the columns of its table, the equations of its models, and what all networks share."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikeflow import noise
from spikeflow.errors import ParameterError
from spikeflow.kernels import layout, spread, vocabulary
from spikeflow.kernels.cuda_printer import WORDS, print_function
from spikeflow.kernels.model import Form
from spikeflow.kernels.parts import Precision, Program
from spikeflow.kernels.rule import RuleForm

KERNEL = "spikeflow_window"
"""The kernel's name; its parameters are the arrays of `layout.Arrays`, then those of `spread.Spread`, in order.

It is launched with any number of blocks that run at once (a cooperative launch sees to it)."""

MOST_THREADS = 1024
"""Threads in a block; any number up to this one gives the same bits, and so does any number of blocks."""

COMPILER_OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
"""What NVRTC and nvcc must be told: a contracted a * b + c rounds once where every other backend rounds twice."""

PARTS = ("blocks", "arrivals", "synapses", "hand", "window")
"""The files of what every network shares, in order."""

_TYPES = {
    np.int64: "long long", np.int32: "int", np.uint32: "unsigned", np.uint8: "unsigned char",
    np.uint64: "unsigned long long", np.float32: "float", np.float64: "double",
    np.float16: "unsigned short",
}  # fmt: skip

_NOISE = f"""\
__device__ __forceinline__ unsigned long long mixed(unsigned long long x) {{
    x = (x ^ (x >> 30)) * {noise.MIX_1:#x}ULL;
    x = (x ^ (x >> 27)) * {noise.MIX_2:#x}ULL;
    return x ^ (x >> 31);
}}
__device__ __forceinline__ unsigned long long bits(long long key, long long a, long long b) {{
    const unsigned long long step = {noise.STRIDE:#x}ULL;
    const unsigned long long row = mixed((unsigned long long)key + step * ((unsigned long long)a + 1));
    return mixed(row + step * ((unsigned long long)b + 1));
}}
__device__ __forceinline__ void uniform(long long key, long long a, long long b, float &draw) {{
    draw = (float)(bits(key, a, b) >> 40) * (float){2.0**-24!r};
}}
__device__ __forceinline__ void uniform(long long key, long long a, long long b, double &draw) {{
    draw = (double)(bits(key, a, b) >> 11) * {2.0**-53!r};
}}
"""
"""The recipe of `spikeflow.noise` in CUDA C."""


def cuda_source(program: Program) -> str:
    """The CUDA C text that steps `program`; a network's sizes and weights are not part of it.

    Raises:
        ParameterError: a model's `update` says something that kernels cannot.
    """
    codes = {**layout.CODES, **spread.SPREAD_CODES, "FLUSH_EVERY": vocabulary.FLUSH_EVERY}
    columns = ", ".join(f"{name} = {number}" for name, number in codes.items())
    parameters = _parameters()
    parts = [
        *_wrapped(f"enum {{ {columns} }};"),
        *_wrapped(f"struct Net {{ {' '.join(f'{parameter};' for parameter in parameters)} }};"),
        WORDS,
        _NOISE,
        _shared(vocabulary.hold, ["free"]),
        _shared(vocabulary.count_down, ["free", "spiked"]),
        _shared(vocabulary.flush, []),
        *[_form(form, precision, place) for place, (form, precision) in enumerate(program.forms)],
        _dispatch(program),
        *[_rule(rule, precision, place) for place, (rule, precision) in enumerate(program.rules)],
        _dispatch_rules(program),
        shared_text(),
        f'extern "C" __global__ void __launch_bounds__({MOST_THREADS}) {KERNEL}(',
        *_wrapped(f"    {', '.join(parameters)}) {{"),
        "    __shared__ Shared shared;",
        *_wrapped(f"    const Net net = {{{', '.join((*layout.ARGUMENTS, *spread.SPREAD_ARGUMENTS))}}};"),
        "    step_window(net, shared);",
        "}\n",
    ]
    return "\n".join(parts)


def shared_text() -> str:
    """What every network shares."""
    return "\n".join(Path(__file__).with_name(f"cuda_{part}.cu").read_text(encoding="utf-8") for part in PARTS)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 118, subsequent_indent="    ", break_on_hyphens=False)


def _parameters() -> list[str]:
    """The arrays of a network as C declarations."""
    found = []
    hints = {**typing.get_type_hints(layout.Arrays), **typing.get_type_hints(spread.Spread)}
    for name, annotation in hints.items():
        kind = typing.get_args(typing.get_args(annotation)[1])[0]
        found.append(f"{_TYPES[kind]} *{name}")
    return found


def _shared(function: Callable[..., Any], flags: list[str]) -> str:
    node = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(node, ast.FunctionDef)
    return print_function(node, f"shared_{function.__name__}", f"vocabulary.{function.__name__}", flags).text


def _form(form: Form, precision: Precision, place: int) -> str:
    """`update_<place>`, and `Model_<place>`: a neuron's state while it is in registers, which a tick moves.

    `move_on` takes a receptor's sum where anything has arrived; it says whether the neuron spikes and is lost, and, at
    the ticks at which tiny state becomes zero, whether the state has other bits than before.
    """
    real = "float" if precision == "float32" else "double"
    model, file, first_line = _origin(form)
    printed = print_function(form.update, f"update_{place}", f"{model} ({file})", first_line=first_line)
    expected = ("real",) * len(form.moved) + ("bool",) * form.spikes
    if printed.results != expected:
        raise ParameterError(
            f"{model} ({file}): update returns {', '.join(printed.results)} (bool: a comparison)",
            f"return the new {', '.join(form.moved)}" + (", then where it spikes" if form.spikes else ""),
        )
    states, sums = len(form.states), len(form.receptors)
    constant = {name: f"constant[{k}]" for k, name in enumerate(form.constants)}
    constant |= {name: f"model.own_{k}" for k, name in enumerate(form.rows)}
    named = printed.parameters[len(form.moved) + sums + len(form.noise) :]
    taken = [f"model.state_{k}" for k in range(len(form.moved))]
    taken += [f"sum_{k}" for k in range(sums)]
    taken += [f"draw_{k}" for k in range(len(form.noise))]
    taken += [constant[name] for name in named]
    given = [f"next_{k}" for k in range(len(form.moved))] + ["spiked"] * form.spikes
    kept = [f"state_{k}" for k in range(states)] + [f"own_{k}" for k in range(len(form.rows))]
    rows = [*range(states), *(states + sums + k for k in range(len(form.rows)))]
    lines = [f"{real} {', '.join(f'next_{k}' for k in range(states))};", "bool spiked = false;"]
    for k in range(sums):
        lines += [f"const {real} sum_{k} = came ? cell[{states + k} * TILE] : {constant['zero']};"]
        lines += [f"if (came) cell[{states + k} * TILE] = {constant['zero']};"]
    lines += [f"{real} draw_{k}; uniform(key[{k}], neuron, tick, draw_{k});" for k in range(len(form.noise))]
    lines += [f"update_{place}<{real}>({', '.join(taken + given)});"]
    if form.refracts:
        rho = states - 1
        lines += [f"const bool free = model.state_{rho} <= {constant['zero']};", "spiked = spiked && free;"]
        for k in (form.states.index(name) for name in form.held):
            lines += [f"shared_hold<{real}>(free, model.state_{k}, next_{k}, next_{k});"]
        others = ", ".join(constant[name] for name in ("rho_reset", "one", "zero"))
        lines += [f"shared_count_down<{real}>(model.state_{rho}, free, spiked, {others}, next_{rho});"]
    lines += [f"lost = {' || '.join(f'next_{k} != next_{k}' for k in range(states))};"]
    lines += [f"if (tick % {vocabulary.FLUSH_EVERY} == 0) {{"]
    lines += [f"    moved = {'true' if form.restless else 'spiked'};"]
    for k in range(states):  # before the flush as well: what the flush changes has not come to rest
        state, after = f"model.state_{k}", f"next_{k}"
        lines += [f"    moved = moved || bits_of({state}) != bits_of({after});", f"    {state} = {after};"]
        lines += [f"    shared_flush<{real}>({state}, {constant['tiny']}, {constant['zero']}, {after});"]
        lines += [f"    moved = moved || bits_of({state}) != bits_of({after});"]
    lines += ["}", *[f"model.state_{k} = next_{k};" for k in range(states)]]
    of, inline = f"Model_{place}", "__device__ __forceinline__"
    head = [
        f"// {model}, {precision}",
        f"struct {of} {{",
        f"    typedef {real} number;",
        f"    {real} {', '.join(kept)};",
        f"    static constexpr bool wide = {_c(precision == 'float64')}, noisy = {_c(bool(form.noise))};",
        "};",
        f"{inline} {real} *numbers_of(const Net &net, const {of} &) {{ return net.real{precision[-2:]}; }}",
        f"{inline} void load({of} &model, const {real} *cell) {{",
        *[f"    model.{name} = cell[{row} * TILE];" for name, row in zip(kept, rows, strict=True)],
        "}",
        f"{inline} void store(const {of} &model, {real} *cell) {{",
        *[f"    cell[{k} * TILE] = model.state_{k};" for k in range(states)],
        "}",
        f"{inline} bool move_on(",
        f"    {of} &model, {real} *cell, bool came, const {real} *constant, const long long *key, long long neuron,",
        "    long long tick, bool &lost, bool &moved) {",
    ]
    return printed.text + "\n".join(head) + "\n    " + "\n    ".join([*lines, "return spiked;"]) + "\n}\n"


def _c(flag: bool) -> str:
    return "true" if flag else "false"


def _rule(rule: RuleForm, precision: Precision, place: int) -> str:
    """`change_<place>`, which changes one synapse and says whether something of it is not a number."""
    real = "float" if precision == "float32" else "double"
    name, file, first_line = _origin(rule)
    printed = print_function(rule.update, f"rule_{place}", f"{name} ({file})", first_line=first_line)
    if printed.results != ("real",) * len(rule.states):
        raise ParameterError(
            f"{name} ({file}): update returns {', '.join(printed.results)}", f"return the new {', '.join(rule.states)}"
        )
    constant = {constant: f"constant[{k}]" for k, constant in enumerate(rule.constants)}
    cells = [f"beside[{k - 1} * apart]" if k else "weight" for k in range(len(rule.states))]
    taken = list(cells)
    taken += [f"before[{k} * TILE]" for k in range(len(rule.pre))]
    taken += [f"after[{k} * TILE]" for k in range(len(rule.post))]
    taken += [constant[name] for name in rule.named]
    given = [f"next_{k}" for k in range(len(rule.states))]
    lines = [f"{real} {', '.join(given)};", f"rule_{place}<{real}>({', '.join(taken + given)});"]
    lines += [f"const bool lost = {' || '.join(f'{name} != {name}' for name in given)};"]
    for k, cell in enumerate(cells):
        lines += [f"shared_flush<{real}>(next_{k}, {constant['tiny']}, {constant['zero']}, {cell});"]
    head = (
        f"// {name}, {precision}\n__device__ __forceinline__ bool change_{place}(\n"
        f"    {real} &weight, {real} *beside, long long apart, const {real} *before, const {real} *after,"
        f" const {real} *constant) {{"
    )
    return printed.text + "\n    ".join([head, *lines, "return lost;"]) + "\n}\n"


def _dispatch_rules(program: Program) -> str:
    """`change`, which changes one synapse, unless nothing can happen to it in this tick."""
    lines = [
        "__device__ bool change(",
        "    const Net &net, const long long *learning, long long weight, long long beside, long long before,",
        "    long long after) {",
    ]
    if not program.rules:
        return "\n".join([*lines, "    return false;", "}", ""])
    lines += [
        "    const long long apart = learning[L_COUNT], constant = learning[L_CONSTANT];",
        "    switch (learning[L_RULE]) {",
    ]
    for k, (rule, precision) in enumerate(program.rules):
        of = "32" if precision == "float32" else "64"
        weights, reals = f"net.weight{of}", f"net.real{of}"
        last = len(rule.pre) - 1, len(rule.post) - 1
        lines.append(f"    case {k}:")
        if rule.event_driven:
            quiet = f"{reals}[before + {last[0]} * TILE] == 0 && {reals}[after + {last[1]} * TILE] == 0"
            lines.append(f"        if ({quiet}) return false;")
        lines += [
            f"        return change_{k}({weights}[weight], {weights} + beside, apart, {reals} + before,",
            f"            {reals} + after, {reals} + constant);",
        ]
    return "\n".join([*lines, "    default: return false;", "    }", "}", ""])


def _origin(form: Form | RuleForm) -> tuple[str, str, int]:
    """A model's name, its file, and the line its `update` starts at."""
    update = getattr(form.function, "func", form.function)
    code = inspect.unwrap(update).__code__
    return form.name, Path(code.co_filename).name, code.co_firstlineno


def _dispatch(program: Program) -> str:
    """`move`, one tick of one neuron, and `run`, some ticks of a block's neurons."""
    doubles = " || ".join(f"form == {k}" for k, (_, of) in enumerate(program.forms) if of == "float64") or "false"
    lines = [
        f"__device__ __forceinline__ bool is_double(long long form) {{ return {doubles}; }}",
        "template <class Model> __device__ __forceinline__ bool move_one(",
        "    const Net &net, const long long *group, long long neuron, long long tick, bool &lost, bool &moved) {",
        "    const long long at = group[G_BASE] + neuron / TILE * group[G_ROWS] * TILE + neuron % TILE;",
        "    const long long counted = Model::noisy ? neuron % group[G_EACH] : neuron;",
        "    const long long *key = net.table + group[G_KEY];",
        "    Model model;",
        "    typename Model::number *reals = numbers_of(net, model), *cell = reals + at;",
        "    load(model, cell);",
        "    const auto *constant = reals + group[G_CONSTANT];",
        "    const bool spikes = move_on(model, cell, true, constant, key, counted, tick, lost, moved);",
        "    store(model, cell);",
        "    return spikes;",
        "}",
        "__device__ bool move(",
        "    const Net &net, const long long *group, long long neuron, long long tick, bool &lost, bool &moved) {",
        "    switch (group[G_FORM]) {",
    ]
    for k in range(len(program.forms)):
        lines.append(f"    case {k}: return move_one<Model_{k}>(net, group, neuron, tick, lost, moved);")
    lines += [
        "    default: return false;",
        "    }",
        "}",
        "struct Shared;",
        "template <class Model> __device__ __noinline__ void run_ticks(",
        "    const Net &net, long long place, long long first, long long ticks, Shared &shared);",
        "__device__ void run(const Net &net, long long place, long long first, long long ticks, Shared &shared) {",
        "    switch (net.table[net.table[H_GROUP] + place * GROUP + G_FORM]) {",
    ]
    for k in range(len(program.forms)):
        lines.append(f"    case {k}: return run_ticks<Model_{k}>(net, place, first, ticks, shared);")
    return "\n".join([*lines, "    }", "}", ""])

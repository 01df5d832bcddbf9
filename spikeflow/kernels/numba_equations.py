"""The equations of models and of learning rules, written into loops that Numba compiles."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from spikeflow.kernels import vocabulary
from spikeflow.kernels.layout import TILE
from spikeflow.kernels.model import Form
from spikeflow.kernels.rule import RuleForm

_WORDS = ("where", "minimum", "maximum", "flush", "hold", "count_down")
_OTHERS = {"exp": "math.exp", "absolute": "abs", "power": "math.pow"}


def sweep_text(form: Form, bits: int) -> str:
    """The equations over tiles, and which neurons spike: no branches, so that it becomes vector code."""
    states, inputs, noise = form.states, form.receptors, form.noise
    given = {name: len(states) + len(inputs) + k for k, name in enumerate(form.rows)}
    taken = [argument.arg for argument in form.update.args.args]
    lead = len(form.moved) + len(inputs) + len(noise)
    sources = [
        *form.moved,
        *[f"a_{name}" for name in inputs],
        *[f"n_{name}" for name in noise],
        *[f"r_{name}" if name in form.rows else f"c_{name}" for name in taken[lead:]],
    ]
    results = [f"new_{name}" for name in form.moved] + (["spiked"] if form.spikes else [])
    body = [f"s_{name} = x[{row * TILE} + k]" for row, name in enumerate(states)]
    body += [f"a_{name} = x[{(len(states) + k) * TILE} + k]" for k, name in enumerate(inputs)]
    body += [f"r_{name} = x[{row * TILE} + k]" for name, row in given.items()]
    body += [f"n_{name} = uniform{bits}(key_{name}, (tile * TILE + k) % each, tick)" for name in noise]
    body += [f"x[{(len(states) + k) * TILE} + k] = c_zero" for k in range(len(inputs))]
    sources = [f"s_{name}" if name in form.moved and k < len(form.moved) else name for k, name in enumerate(sources)]
    body += _inlined(form.update, sources, results)
    if form.refracts:
        reset = "r_rho_reset" if "rho_reset" in form.rows else "c_rho_reset"
        body += [
            "free = s_rho <= c_zero",
            "spiked = spiked & free",
            *[f"new_{name} = hold(free, s_{name}, new_{name})" for name in form.held],
            f"new_rho = count_down(s_rho, free, spiked, {reset}, c_one, c_zero)",
        ]
    body += [f"lost = lost | (new_{name} != new_{name})" for name in states]
    body += [f"x[{row * TILE} + k] = new_{name}" for row, name in enumerate(states)]
    if form.spikes:
        body += ["m[k] = spiked"]
    kind = f"float{bits}"
    signature = f"types.void(types.CPointer(types.int64), types.CPointer(types.{kind}), types.CPointer(types.uint8), "
    lines = [
        f"@cfunc({signature}types.int64, types.int64, types.int64), error_model='numpy', _nrt=False)",
        "def sweep(table, real, mask, g, tile, last):",
        "    base, stride, tick = table[g + G_BASE], table[g + G_ROWS] * TILE, table[H_TICK]",
        "    c, first = onward(real, table[g + G_CONSTANT]), table[g + G_REST] * TILE",
        *[f"    c_{name} = c[{k}]" for k, name in enumerate(form.constants) if name not in form.rows],
        *[f"    key_{name} = np.uint64(table[table[g + G_KEY] + {k}])" for k, name in enumerate(noise)],
        *["    each = table[g + G_EACH]"] * bool(noise),
        "    lost = False",
        "    for tile in range(tile, last):",
        "        x, m = onward(real, base + tile * stride), onward(mask, first + tile * TILE)",
        "        for k in range(TILE):",
        *[f"            {line}" for line in body],
        "    if lost:",
        "        table[g + G_LOST] = 1",
    ]
    return ast.unparse(_Words().visit(ast.parse("\n".join(lines)))) + "\n"


def settle_text() -> str:
    """What sets tiny state to zero, for tiles `first` to `last`."""
    lines = [
        "@_njit",
        "def settle(real, at, stride, rows, first, last):",
        f"    tiny, zero = like(real, {vocabulary.TINY}), like(real, 0.0)",
        "    for tile in range(first, last):",
        "        x = onward(real, at + tile * stride)",
        f"        for k in range(rows * {TILE}):",
        "            x[k] = flush(x[k], tiny, zero)",
    ]
    return ast.unparse(_Words().visit(ast.parse("\n".join(lines)))) + "\n"


def learn_text(rule: RuleForm, opened: Sequence[str]) -> str:
    """One tick of the synapses of a projection; those that an event-driven rule leaves alone are not looked at.

    A state of a synapse lies as far behind its weight as those of all others do; `d_` names how far.
    """
    fired = len(rule.pre) - 1, len(rule.post) - 1
    loads = [f"p_{name} = x[{row * TILE}]" for row, name in enumerate(rule.pre)]
    loads += [f"fired = p_{rule.pre[-1]} != c_zero"]
    chooses, passes, listed = "tile = turn", "", "turns = tiles"
    again: list[str] = []
    if rule.event_driven:
        chooses, passes = "tile = turn if fired else listed[turn]", "if not fired: continue"
        listed = "turns = tiles if fired else many"
        again = [
            "        for n in range(table[b + G_SIZE]):",
            "            y = onward(real, after + (n >> 6) * after_stride + (n & 63))",
            f"            if y[{fired[1] * TILE}] == c_zero: continue",
            "            for j in range(start[by_post + n], start[by_post + n + 1]):",
            "                row, s = np.int64(post[rows + j]), onward(weight, first + post[synapses + j])",
            "                x = onward(real, before + (row >> 6) * before_stride + (row & 63))",
            *[f"                {line}" for line in loads],
            "                if fired: continue",
            *[f"                {line}" for line in _synapse(rule, "")],
        ]
    lines = [
        "@cfunc('int64(int64, int64)', error_model='numpy', _nrt=False)",
        "def learn(addresses, l):",
        "    addresses = int64s(addresses)",
        *opened,
        "    p = table[H_PROJECTION] + table[l + L_PROJECTION] * N_PROJECTION",
        "    a = table[H_GROUP] + table[l + L_PRE] * N_GROUP",
        "    b = table[H_GROUP] + table[l + L_POST] * N_GROUP",
        "    before, before_stride = table[a + G_BASE], table[a + G_ROWS] * TILE",
        "    after, after_stride, tiles = table[b + G_BASE], table[b + G_ROWS] * TILE, table[b + G_TILES]",
        "    by_post, synapses, rows = table[l + L_BY_POST], table[l + L_SYNAPSE], table[l + L_ROW]",
        "    kind, first = table[p + P_KIND], table[p + P_WEIGHT]",
        "    starts, posts = table[p + P_START], table[p + P_POST]",
        "    c, lost = onward(real, table[l + L_CONSTANT]), False",
        *[f"    c_{name} = c[{k}]" for k, name in enumerate(rule.constants)],
        *[
            f"    d_{name} = table[l + L_STATE] + {k} * table[l + L_COUNT] - first"
            for k, name in enumerate(rule.states[1:])
        ],
        "    if kind == DENSE:",
        f"        many = busy(table, real, after + {fired[1] * TILE}, after_stride, tiles)",
        "        listed = onward(table, table[H_SCRATCH])",
        "        for row in range(table[a + G_SIZE]):",
        "            x = onward(real, before + (row >> 6) * before_stride + (row & 63))",
        *[f"            {line}" for line in loads],
        f"            {listed}",
        "            for turn in range(turns):",
        f"                {chooses}",
        "                y = onward(real, after + tile * after_stride)",
        "                s = onward(weight, first + row * table[p + P_STRIDE] + tile * TILE)",
        # the synapses that fill the last tile are nobody's, and stay 0
        "                for k in range(min(TILE, table[b + G_SIZE] - tile * TILE)):",
        *[f"                    {line}" for line in _synapse(rule, " + k")],
        "    elif kind == CSR:",
        "        for row in range(table[a + G_SIZE]):",
        "            x = onward(real, before + (row >> 6) * before_stride + (row & 63))",
        *[f"            {line}" for line in loads],
        f"            {passes}",
        "            for at in range(start[starts + row], start[starts + row + 1]):",
        "                n, s = np.int64(post[posts + at]), onward(weight, first + at)",
        "                y = onward(real, after + (n >> 6) * after_stride + (n & 63))",
        *[f"                {line}" for line in _synapse(rule, "")],
        *again,
        "    else:",
        "        for n in range(table[b + G_SIZE]):",
        "            x = onward(real, before + (n >> 6) * before_stride + (n & 63))",
        "            y, s = onward(real, after + (n >> 6) * after_stride + (n & 63)), onward(weight, first + n)",
        *[f"            {line}" for line in loads],
        *[f"            {line}" for line in _synapse(rule, "")],
        "    return np.int64(lost)",
    ]
    return ast.unparse(_Words().visit(ast.parse("\n".join(lines)))) + "\n"


def _synapse(rule: RuleForm, k: str) -> list[str]:
    """What changes one synapse, whose weight is s[0 + k] and whose postsynaptic traces are at y[row + k]."""
    away = {name: f"d_{name}" for name in rule.states} | {rule.states[0]: "0"}
    given = [f"s_{name}" for name in rule.states] + [f"p_{name}" for name in rule.pre]
    given += [f"q_{name}" for name in rule.post] + [f"c_{name}" for name in rule.named]
    return [
        *[f"s_{name} = s[{away[name]}{k}]" for name in rule.states],
        *[f"q_{name} = y[{row * TILE}{k}]" for row, name in enumerate(rule.post)],
        *_inlined(rule.update, given, [f"new_{name}" for name in rule.states]),
        *[f"lost = lost | (new_{name} != new_{name})" for name in rule.states],
        *[f"s[{away[name]}{k}] = flush(new_{name}, c_tiny, c_zero)" for name in rule.states],
    ]


def _inlined(update: ast.FunctionDef, given: Sequence[str], results: Sequence[str]) -> list[str]:
    """The lines of `update` on `given` variables; its own names cannot meet those of the loop."""
    *statements, end = copy.deepcopy(update.body)
    assert isinstance(end, ast.Return) and end.value is not None
    own = {argument.arg for argument in update.args.args}
    own |= {n.id for n in ast.walk(update) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    rename = _Rename({name: ast.Name(f"u_{name}") for name in own})
    lines = [f"u_{a.arg} = {name}" for a, name in zip(update.args.args, given, strict=True)]
    lines += [line for statement in statements for line in ast.unparse(rename.visit(statement)).splitlines()]
    value = ast.unparse(rename.visit(end.value))
    return [*lines, f"{', '.join(results)}{',' * isinstance(end.value, ast.Tuple)} = {value}"]


class _Rename(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, into: Mapping[str, ast.expr]) -> None:
        self.into = into

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.into.get(node.id, node))


class _Words(ast.NodeTransformer):
    """Writes the shared words out, down to `where`: much faster to compile than calls, to the same instructions."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "np.where":
            node.func = ast.Name("where")
        if not isinstance(node.func, ast.Name):
            return node
        if node.func.id in _OTHERS:
            return ast.Call(ast.Name(_OTHERS[node.func.id]), node.args, [])
        if node.func.id not in _WORDS or node.func.id == "where":
            return node
        word = _word(getattr(vocabulary, node.func.id))
        assert isinstance(word.body[-1], ast.Return)
        names = [argument.arg for argument in word.args.args]
        rename = _Rename(dict(zip(names, node.args, strict=True)))
        assert word.body[-1].value is not None
        return cast(ast.AST, self.visit(rename.visit(copy.deepcopy(word.body[-1].value))))


@functools.cache
def _word(function: Callable[..., Any]) -> ast.FunctionDef:
    """A shared word's syntax tree; whoever changes it takes a copy."""
    word = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(word, ast.FunctionDef)
    return word

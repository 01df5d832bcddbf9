"""CUDA C from a function in the kernels' vocabulary: `update`, and what every model shares."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from spikeflow.errors import ParameterError

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISON = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_WORDS = {  # what each word of the vocabulary takes; all of them give a number
    "where": ("bool", "real", "real"),
    "minimum": ("real", "real"),
    "maximum": ("real", "real"),
    "absolute": ("real",),
    "exp": ("real",),
    "power": ("real", "real"),
}
_SPOKEN = {"real": "a number", "bool": "a truth value"}

ALLOWED = (
    "a kernel is straight-line code: `name = expression` and one `return` at its end, with names, + - * /, "
    f"comparisons, & between comparisons, {', '.join(_WORDS)}; every number has a name"
)

WORDS = """\
template <class real> __device__ __forceinline__ real where_(bool flag, real yes, real no) { return flag ? yes : no; }
template <class real> __device__ __forceinline__ real minimum_(real a, real b) { return a < b || a != a ? a : b; }
template <class real> __device__ __forceinline__ real maximum_(real a, real b) { return a > b || a != a ? a : b; }
__device__ __forceinline__ float absolute_(float x) { return fabsf(x); }
__device__ __forceinline__ double absolute_(double x) { return fabs(x); }
__device__ __forceinline__ float exp_(float x) { return expf(x); }
__device__ __forceinline__ double exp_(double x) { return exp(x); }
__device__ __forceinline__ float power_(float x, float y) { return powf(x, y); }
__device__ __forceinline__ double power_(double x, double y) { return pow(x, y); }
__device__ __forceinline__ unsigned bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ long long bits_of(double x) { return __double_as_longlong(x); }
"""
"""The vocabulary in CUDA C, as `vocabulary.py` defines it, and the bits of a number, which tell 0 from -0."""


@dataclass(frozen=True)
class Printed:
    """A function in CUDA C: `name(parameters…, results…)`, results by reference, each "real" or "bool"."""

    name: str
    text: str
    parameters: tuple[str, ...]
    results: tuple[str, ...]


def print_function(
    function: ast.FunctionDef, name: str, of: str, bools: Sequence[str] = (), first_line: int = 1
) -> Printed:
    """`function` in CUDA C, a template over `real`, which is float or double.

    Args:
        function: straight-line code; static options are pruned already.
        name: what it is called in C.
        of: whose function it is and in which file, for errors.
        bools: the parameters that are comparisons' results; all others are real.
        first_line: where the function starts in its file.

    Raises:
        ParameterError: something outside the vocabulary; names the model, the line and what is allowed.
    """
    parameters = tuple(argument.arg for argument in function.args.args)
    kinds = {parameter: "bool" if parameter in bools else "real" for parameter in parameters}
    return _Printer(of, first_line, kinds).function(function, name)


class _Printer:
    def __init__(self, of: str, first_line: int, parameters: dict[str, str]) -> None:
        self.of, self.first_line, self.kinds, self.parameters = of, first_line, dict(parameters), parameters

    def function(self, function: ast.FunctionDef, name: str) -> Printed:
        body = [node for node in function.body if not _is_docstring(node)]
        lines = [self.assignment(node) for node in body[:-1]]
        results = self.results(body[-1] if body else function)
        lines += [f"result_{k} = {text};" for k, (text, _) in enumerate(results)]
        declared = [f"{kind} {_name(local)};" for local, kind in self.kinds.items() if local not in self.parameters]
        arguments = [f"{kind} {_name(parameter)}" for parameter, kind in self.parameters.items()]
        arguments += [f"{kind} &result_{k}" for k, (_, kind) in enumerate(results)]
        head = f"template <class real> __device__ __forceinline__ void {name}({', '.join(arguments)}) {{"
        text = "\n    ".join([head, *declared, *lines])
        return Printed(name, text + "\n}\n", tuple(self.parameters), tuple(kind for _, kind in results))

    def assignment(self, node: ast.stmt) -> str:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
                pass
            case _:
                raise self.error(node, "is not an assignment to one name")
        text, kind = self.expression(value)
        if self.kinds.setdefault(target, kind) != kind:
            raise self.error(node, f"turns {target!r} from {_SPOKEN[self.kinds[target]]} into {_SPOKEN[kind]}")
        return f"{_name(target)} = {text};"

    def results(self, node: ast.AST) -> list[tuple[str, str]]:
        match node:
            case ast.Return(value=ast.Tuple(elts=values)):
                return [self.expression(value) for value in values]
            case ast.Return(value=ast.expr() as value):
                return [self.expression(value)]
            case _:
                raise self.error(node, "is not the one `return` that a kernel ends with")

    def expression(self, node: ast.expr) -> tuple[str, str]:
        """The C text of an expression and its kind."""
        match node:
            case ast.Name(id=name) if name in self.kinds:
                return _name(name), self.kinds[name]
            case ast.Name():
                raise self.error(node, "is neither a parameter nor assigned before")
            case ast.Constant():
                raise self.error(node, "has no name: make it a parameter, or give it one in `constants(dt)`")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return f"({self.take(left, 'real')} {_ARITHMETIC[type(op)]} {self.take(right, 'real')})", "real"
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return f"({self.take(left, 'bool')} && {self.take(right, 'bool')})", "bool"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self.take(operand, 'real')})", "real"
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISON:
                return f"({self.take(left, 'real')} {_COMPARISON[type(op)]} {self.take(right, 'real')})", "bool"
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _WORDS:
                kinds = _WORDS[name]
                if len(arguments) != len(kinds):
                    raise self.error(node, f"gives {name} {len(arguments)} arguments, not {len(kinds)}")
                taken = [self.take(argument, kind) for argument, kind in zip(arguments, kinds, strict=True)]
                return f"{_name(name)}({', '.join(taken)})", "real"
            case _:
                raise self.error(node, "is outside the vocabulary of kernels")

    def take(self, node: ast.expr, kind: str) -> str:
        text, found = self.expression(node)
        if found != kind:
            raise self.error(node, f"is {_SPOKEN[found]} where {_SPOKEN[kind]} is needed")
        return text

    def error(self, node: ast.AST, what: str) -> ParameterError:
        line = f", line {self.first_line + node.lineno - 1}" if hasattr(node, "lineno") else ""
        return ParameterError(f"{self.of}{line}: `{ast.unparse(node).splitlines()[0]}` {what}", ALLOWED)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _name(python: str) -> str:
    """No name of Python's is a keyword or a macro of C with a line under its end."""
    return f"{python}_"

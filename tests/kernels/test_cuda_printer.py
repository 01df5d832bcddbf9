"""The printer: from `update` to CUDA C, or one clear error."""

from __future__ import annotations

import ast

import pytest

from spikeflow.errors import ParameterError
from spikeflow.kernels.cuda_printer import ALLOWED, print_function


def function(source: str) -> ast.FunctionDef:
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def body(statement: str) -> ast.FunctionDef:
    return function(f"def update(v, i, th):\n    {statement}\n    return v, i\n")


def test_a_model_is_printed_line_by_line() -> None:
    source = '''
def update(v, i, arriving, leak, v_leak, v_th, v_reset):
    """One tick."""
    i = i + arriving
    v: F32 = v + leak * ((v_leak - v) + i)
    spiked = v > v_th
    v = where(spiked, v_reset, v)
    return v, i, spiked
'''
    printed = print_function(function(source), "update_0", "lif (lif.py)")
    assert printed.parameters == ("v", "i", "arriving", "leak", "v_leak", "v_th", "v_reset")
    assert printed.results == ("real", "real", "bool")
    assert printed.text.splitlines()[1:] == [
        "    bool spiked_;",
        "    i_ = (i_ + arriving_);",
        "    v_ = (v_ + (leak_ * ((v_leak_ - v_) + i_)));",
        "    spiked_ = (v_ > v_th_);",
        "    v_ = where_(spiked_, v_reset_, v_);",
        "    result_0 = v_;",
        "    result_1 = i_;",
        "    result_2 = spiked_;",
        "}",
    ]


def test_the_order_of_python_s_operators_is_kept_by_brackets() -> None:
    printed = print_function(function("def f(a, b, c):\n    return -a - (b - c) / a * b"), "f", "a test")
    assert "result_0 = ((-a_) - (((b_ - c_) / a_) * b_));" in printed.text


def test_truth_values_combine_with_and() -> None:
    text = "def f(a, b, free):\n    return where((a > b) & free, a, b)"
    printed = print_function(function(text), "f", "a test", bools=["free"])
    assert "where_(((a_ > b_) && free_), a_, b_)" in printed.text


def test_names_that_c_keeps_for_itself_can_be_parameters() -> None:
    printed = print_function(function("def f(register, float):\n    return register + float"), "f", "a test")
    assert "real register_, real float_" in printed.text


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("v = v * 2.0", "`2.0` has no name: make it a parameter, or give it one in `constants(dt)`"),
        ("v = v ** i", "`v ** i` is outside the vocabulary of kernels"),
        ("v = math.exp(v)", "`math.exp(v)` is outside the vocabulary of kernels"),
        ("v = sqrt(v)", "`sqrt(v)` is outside the vocabulary of kernels"),
        ("v = exp(v, i)", "`exp(v, i)` gives exp 2 arguments, not 1"),
        ("v = v if v > i else i", "`v if v > i else i` is outside the vocabulary of kernels"),
        ("v = where(v, i, v)", "`v` is a number where a truth value is needed"),
        ("v = v * (v > th)", "`v > th` is a truth value where a number is needed"),
        ("v = v > th", "`v = v > th` turns 'v' from a number into a truth value"),
        ("v = where(~(v > i), v, i)", "`~(v > i)` is outside the vocabulary of kernels"),
        ("v = w", "`w` is neither a parameter nor assigned before"),
        ("v, i = i, v", "`v, i = (i, v)` is not an assignment to one name"),
        ("v += i", "`v += i` is not an assignment to one name"),
        ("if v > th: v = i", "`if v > th:` is not an assignment to one name"),
        ("for k in v: v = i", "`for k in v:` is not an assignment to one name"),
        ("v = i < v < th", "`i < v < th` is outside the vocabulary of kernels"),
    ],
)
def test_anything_else_is_one_error_with_the_model_the_line_and_what_is_allowed(statement: str, found: str) -> None:
    with pytest.raises(ParameterError) as error:
        print_function(body(statement), "update_0", "mine (mine.py)")
    assert str(error.value) == f"mine (mine.py), line 2: {found} — {ALLOWED}"


def test_a_kernel_ends_with_its_only_return() -> None:
    with pytest.raises(ParameterError, match=r"line 2: `v = v \+ v` is not the one `return`"):
        print_function(function("def f(v):\n    v = v + v"), "f", "a test")
    with pytest.raises(ParameterError, match=r"line 2: `return v` is not an assignment"):
        print_function(function("def f(v):\n    return v\n    return v"), "f", "a test")
